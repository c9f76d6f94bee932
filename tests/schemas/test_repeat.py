"""A task repeats the newest published night exactly where it would make the same rows, and says so."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import manifest, repeat
from schemas import night as night_module
from schemas.config import freeze
from schemas.lake import Lake
from schemas.night import load_config, night_task, save_config, task_records
from schemas.repeat import recipe, repeated
from schemas.stage_files import write_rows
from schemas.tables import OUTSIDE, TABLES

FIRST = date(2026, 11, 22)
OTHERS = [name for name in TABLES if name not in ("items", "users", "item_statistics", "runs", *OUTSIDE)]


@pytest.fixture
def nights(tmp_path, monkeypatch):
    return Nights(str(tmp_path), monkeypatch)


class Nights:
    """Nights of two tasks: one publishes `items` and `item_statistics`, the other makes `users` of `items`."""

    def __init__(self, folder: str, monkeypatch) -> None:
        for name in ("NIGHTREC_LAKE", "NIGHTREC_ASSETS", "NIGHTREC_MLFLOW"):
            monkeypatch.setenv(name, f"{folder}/{name.lower()}")
        self.lake, self.computed = f"{folder}/nightrec_lake", 0

    def run(self, day: int, ids=("a", "b"), *, state: str | None = "", publish=True, name="", **changes):
        """Run a night; returns the record of the second task and its rows."""
        uri = save_config(frozen(FIRST + timedelta(days=day), f"run-{day}{name}", **changes))
        with night_task("ingest", uri) as task:
            write(task, "items", [{"item_id": i, "title": i, "categories": [], "texts": []} for i in ids])
            write(task, "item_statistics", [statistics(i, task.config.as_of) for i in ids])
            absent = {"version": 0, "rows": 0, "bytes": 0, "content_hash": "x", "changed": True}
            task.outputs.update(dict.fromkeys(OTHERS, absent))
        with night_task("candidates", uri) as task:
            if not repeated(task, state):
                self.computed += 1
                known = task.read("items").read()["item_id"].to_pylist()
                task.read("item_statistics")
                write(task, "users", [{"user_id": f"{i}-{task.config.seed}", "attributes": []} for i in known])
                task.counters["made"] = len(known)
        if publish:
            manifest.publish_night(uri)
        config = load_config(uri)
        record = task_records(config)["candidates"]
        rows = Lake(self.lake).snapshot("users", config.night, record["outputs"]["users"]["version"]).read()
        return record, rows["user_id"].to_pylist()


def frozen(night: date, run_id: str, **changes):
    source = {"format": "csv", "path": "x.csv"}
    interactions = {**source, "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}}
    items = {**source, "columns": {"item_id": "i", "title": "t"}}
    document = {"source": {"name": "toy", "interactions": interactions, "items": items}}
    return freeze(document, run_id=run_id, run_date=night, **changes)


def write(task, table: str, rows: list[dict]) -> None:
    stage = task.stage(table)
    write_rows(stage, pa.Table.from_pylist(rows, schema=TABLES[table].schema))
    task.publish(stage)


def statistics(item_id: str, as_of) -> dict:
    counts = dict.fromkeys(("n_interactions", "n_users", "n_last_7_days", "n_last_30_days"), 0)
    return {"item_id": item_id, "as_of": as_of, **counts, "trend": 1.0}


def test_a_night_on_which_nothing_has_changed_repeats_the_one_before_and_so_on(nights):
    first, rows = nights.run(0)
    second, again = nights.run(1)
    third, once_more = nights.run(2)
    assert nights.computed == 1
    assert rows == again == once_more == ["a-20241", "b-20241"]
    assert "repeats" not in first["counters"]
    assert second["counters"] == third["counters"] == {"repeats": "2026-11-22", "made": 2}
    assert set(third["inputs"]) == {"items", "item_statistics"}
    assert third["rows_read"] == first["rows_read"] == 4
    assert third["recipe"] == first["recipe"]


@pytest.mark.parametrize(
    "change", [{"ids": ("a", "c")}, {"seed": 7}, {"state": "another champion"}, {"recompute": True}, {"state": None}]
)
def test_whatever_decides_the_rows_keeps_a_task_from_repeating(nights, change):
    nights.run(0)
    record, rows = nights.run(1, **change)
    assert nights.computed == 2
    assert "repeats" not in record["counters"]
    assert rows == [f"{i}-{change.get('seed', 20_241)}" for i in change.get("ids", ("a", "b"))]


def test_changed_code_repeats_nothing(nights, monkeypatch):
    nights.run(0)
    monkeypatch.setattr(repeat, "code_digest", lambda: "mended")
    nights.run(1)
    assert nights.computed == 2


def test_after_an_upgrade_a_rerun_computes_once_and_is_repeated_by_the_next(nights, monkeypatch):
    nights.run(0)
    for module in (repeat, night_module):
        monkeypatch.setattr(module, "code_digest", lambda: "mended")
    nights.run(0, name="-upgraded")
    record, _ = nights.run(0, name="-again")
    assert nights.computed == 2
    assert record["counters"]["repeats"] == "2026-11-22"


def test_a_night_that_was_not_published_is_not_repeated(nights):
    nights.run(0, publish=False)
    nights.run(1)
    assert nights.computed == 2


def test_no_night_repeats_a_later_one(nights):
    nights.run(5)
    nights.run(1)
    assert nights.computed == 2


def test_a_rerun_of_a_night_repeats_itself_and_commits_nothing(nights):
    nights.run(0)
    record, _ = nights.run(0, name="-again")
    assert nights.computed == 1
    assert record["outputs"]["users"]["changed"] is False


def test_rows_whose_files_are_gone_are_computed_anew(nights):
    nights.run(0)
    for uri in DeltaTable(f"{nights.lake}/users").file_uris():
        Path(uri).unlink()
    _, rows = nights.run(1)
    assert nights.computed == 2
    assert rows == ["a-20241", "b-20241"]


def test_rows_of_a_version_that_the_log_has_lost_are_computed_anew(nights):
    nights.run(0)
    nights.run(1, ids=("a", "c"))
    users = DeltaTable(f"{nights.lake}/users")
    users.create_checkpoint()
    for entry in Path(f"{nights.lake}/users/_delta_log").glob("*.json"):
        if int(entry.stem) < users.version():
            entry.unlink()
    _, rows = nights.run(0, name="-again")
    assert nights.computed == 3
    assert rows == ["a-20241", "b-20241"]


def test_what_a_task_sets_at_its_end_is_what_the_next_night_compares(nights):
    """The state that a night finds may be one that it has itself brought about, as a promoted ranker."""
    assert recipe(frozen(FIRST, "a"), "x") == recipe(frozen(FIRST + timedelta(days=1), "b", recompute=True), "x")
    assert recipe(frozen(FIRST, "a"), "x") != recipe(frozen(FIRST, "a"), "y")


CATALOGUES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CATALOGUES, st.sampled_from([1, 2])), min_size=2, max_size=4))
def test_any_run_of_nights_ends_with_what_a_full_recompute_gives(tmp_path_factory, plan):
    with pytest.MonkeyPatch.context() as patch:
        usual = Nights(str(tmp_path_factory.mktemp("usual")), patch)
        found = [usual.run(day, tuple(ids), seed=seed)[1] for day, (ids, seed) in enumerate(plan)]
        full = Nights(str(tmp_path_factory.mktemp("full")), patch)
        expected = [full.run(day, tuple(ids), seed=seed, recompute=True)[1] for day, (ids, seed) in enumerate(plan)]
    assert found == expected
    assert full.computed == len(plan)
