"""The configurations that ship are valid, and their columns are what the formats they describe have."""

from pathlib import Path

import pytest

from jobs.source_columns import used_columns
from schemas.config import freeze, load_yaml
from schemas.source_config import ENTITIES

FOLDER = Path(__file__).parents[2] / "infra" / "configs"


@pytest.fixture(autouse=True)
def _variables(monkeypatch):
    for name in ("NIGHTREC_ASSETS", "NIGHTREC_LAKE", "NIGHTREC_MLFLOW"):
        monkeypatch.setenv(name, f"/tmp/{name}")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_configuration_freezes_and_says_what_it_is(path):
    config = freeze(load_yaml(path), path.name, run_date="2026-11-22")
    assert path.read_text().startswith("# ")
    for entity in ENTITIES:
        source = getattr(config.source, entity)
        if source is not None and source.names:
            assert set(used_columns(source)) <= set(source.names)


def test_the_default_night_is_the_day_after_the_last_rating():
    assert str(freeze(load_yaml(FOLDER / "ml-100k.yaml")).night) == "1998-04-23"
