"""One Spark session for all tests of jobs, and a night in a folder of its own."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jobs.features import features
from jobs.ingest import ingest
from jobs.session import start_session
from schemas.config import freeze
from schemas.lake import Lake
from schemas.night import night_task, save_config

sys.path.append(str(Path(__file__).parent))  # for the helpers beside the tests

EVENTS = {"user_id": "user", "item_id": "item", "timestamp": "when", "rating": {"column": "stars", "min": 1, "max": 5}}
ITEMS = {"item_id": "item", "title": "name", "categories": {"column": "tags", "split": "|"}, "description": "about"}
RUN_DATE = date(2026, 11, 22)


@pytest.fixture(scope="session")
def spark():
    # Tests are over before the JVM's second compiler pays off: without it they take two thirds of the time. But the JVM
    # then keeps a fifth of the room for compiled code, which a thousand plans fill: it has what both would have.
    java = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
    options = f"--driver-java-options '{java}'"
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", f"--master local[2] --driver-memory 1g {options} pyspark-shell")
    session = start_session("tests")
    yield session
    session.stop()


@dataclass
class Shop:
    """Two CSV files, a configuration, and its lake. Tests change `source` and `settings`, then run tasks."""

    spark: Any
    folder: Path
    source: dict[str, Any]
    settings: dict[str, Any]

    def write(self, name: str, text: str | bytes) -> None:
        content = text if isinstance(text, bytes) else text.encode()
        (self.folder / name).write_bytes(content)

    def events(self, rows: Sequence[str]) -> None:
        self.write("events.csv", "\n".join(["user,item,when,stars", *rows]) + "\n")

    def items(self, rows: Sequence[str]) -> None:
        self.write("items.csv", "\n".join(["item,name,tags,about", *rows]) + "\n")

    @contextmanager
    def task(self, name: str):
        document = {"run_id": "test", "run_date": RUN_DATE, "source": self.source, **self.settings}
        nowhere = {"mlflow_tracking_uri": "none", "generator__path": "none", "encoder__path": "none"}
        config = freeze(document, lake=str(self.folder / "lake"), **nowhere)
        with night_task(name, save_config(config)) as task:
            yield task

    def run(self, name: str, function: Callable[[Any, Any], None]) -> dict[str, Any]:
        with self.task(name) as task:
            # A job has its session to itself; here, an earlier run may have cached the same files.
            self.spark.catalog.clearCache()
            function(task, self.spark)
            return task.counters

    def ingest(self) -> dict[str, Any]:
        return self.run("ingest", ingest)

    def features(self) -> None:
        self.run("features", features)

    def table(self, name: str) -> list[dict[str, Any]]:
        night = self.settings.get("run_date", RUN_DATE)
        return Lake(str(self.folder / "lake")).snapshot(name, night).read().to_pylist()

    def reasons(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self.table("quarantine"):
            found[entry["reason"]] = found.get(entry["reason"], 0) + entry["rows"]
        return found

    def record(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / f"lake/_runs/test/tasks/{name}.json").read_text())


GOOD_EVENTS = (
    "u1,i1,2026-11-01T10:00:00Z,5",
    "u1,i2,2026-11-02T10:00:00Z,3",
    "u2,i1,2026-11-20T10:00:00Z,4",
    "u2,i3,2026-11-21T23:59:59Z,1",
)
GOOD_ITEMS = ("i1,Chair,garden|wood,Folds flat.", "i2,Table,garden,", "i3,Lamp,,A lamp.", "i4,Rug,home,Wool.")


@pytest.fixture
def shop(spark, tmp_path) -> Shop:
    source = {
        "name": "shop",
        "interactions": {"format": "csv", "path": str(tmp_path / "events.csv"), "columns": dict(EVENTS)},
        "items": {"format": "csv", "path": str(tmp_path / "items.csv"), "columns": dict(ITEMS)},
    }
    made = Shop(spark, tmp_path, source, {})
    made.events(GOOD_EVENTS)
    made.items(GOOD_ITEMS)
    return made


@pytest.fixture
def good_events() -> tuple[str, ...]:
    return GOOD_EVENTS


@pytest.fixture
def good_items() -> tuple[str, ...]:
    return GOOD_ITEMS
