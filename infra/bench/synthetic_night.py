"""A made-up log and the night that reads it, for benchmarks of scale."""

from pathlib import Path
from typing import Any

from synthetic import NIGHT, Shape, write

from schemas.config import RunConfig, freeze, load_yaml

SHIPPED = Path(__file__).resolve().parents[1] / "configs" / "synthetic.yaml"


def made_up_night(folder: Path, events: int, seed: int, **sections: dict[str, Any]) -> tuple[RunConfig, dict[str, Any]]:
    """Write a log to a folder; the night that sees all of it, with its lake there too, and what synthetic.json says.

    `sections` are parts of the configuration that differ from the shipped one: generator, encoder, ...
    """
    sizes = write(Shape(), events, folder / "source", seed)
    document = load_yaml(SHIPPED)
    for name in ("interactions", "items", "users"):
        document["source"][name]["path"] = str(folder / "source" / f"{name}.parquet")
    for name, settings in sections.items():
        document[name] = {**document.get(name, {}), **settings}
    places = {"lake": str(folder / "lake"), "mlflow_tracking_uri": f"sqlite:///{folder}/mlflow.db"}
    return freeze(document, run_id="bench", run_date=NIGHT, seed=seed, **places), sizes
