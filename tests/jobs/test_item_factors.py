"""Item factors for large catalogues: the rule, tastes found again, nothing from the future, the same on a rerun."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import jobs.item_factors
from jobs.frames import table_schema
from jobs.item_factors import fit, item_factors, needs_factors, state_the_rule
from schemas.candidates_config import Candidates

FEW = Candidates(ials_dimensions=4, max_core_items=10)
USERS, ITEMS = 40, 16


def splits(spark, rows):
    first = datetime(2026, 11, 1, tzinfo=UTC)
    typed = [(f"u{u}", f"i{i}", first + timedelta(hours=n), None, 1.0, s) for n, (u, i, s) in enumerate(rows)]
    return spark.createDataFrame(typed, table_schema("splits"))


def two_tastes(seed=5):
    """Even users take even items, odd users odd ones; item 15 is first taken in validation."""
    chance = np.random.default_rng(seed)
    train = [
        (user, 2 * int(item) + user % 2, "train")
        for user in range(USERS)
        for item in chance.choice(7, size=5, replace=False)
    ]
    return [*train, (1, 15, "validation"), (3, 15, "validation"), (0, 1, "test")]


def by_item(frame):
    return {row["item_id"]: row["factors"] for row in frame.collect()}


@pytest.mark.parametrize(("taken", "needed"), [(0, False), (10, False), (11, True), (30_000, True)])
def test_factors_are_needed_when_more_items_were_taken_than_the_dense_sources_cover(taken, needed):
    assert needs_factors(taken, FEW) is needed
    assert state_the_rule(taken, FEW) == {"items_taken": taken, "max_core_items": 10, "factors_fitted": needed}


def test_the_rule_says_in_the_log_what_joins_and_why(caplog):
    state_the_rule(30_000, Candidates())
    assert "catalogue of 30,000 items exceeds max_core_items 15,000: ials by Spark ALS joins" in caplog.text


@pytest.mark.spark
def test_two_tastes_are_found_again_as_of_each_window_and_a_rerun_is_identical(spark, monkeypatch):
    monkeypatch.setattr(jobs.item_factors, "SWEEPS", 4)  # each is some Spark tasks per block
    monkeypatch.setattr(jobs.item_factors, "BLOCKS", 2)
    rows = two_tastes()
    windows = {}
    for row in item_factors(splits(spark, rows), FEW, 1).collect():
        windows.setdefault(row["window"], {})[row["item_id"]] = row["factors"]
    assert {name: "i15" in found for name, found in windows.items()} == {
        "validation": False,
        "test": True,
        "serving": True,
    }
    for found in windows.values():
        assert {len(factors) for factors in found.values()} == {4}
        unit = {int(item[1:]): np.array(f) / np.linalg.norm(f) for item, f in found.items()}
        same = [unit[a] @ unit[b] for a in unit for b in unit if a < b and (a - b) % 2 == 0]
        other = [unit[a] @ unit[b] for a in unit for b in unit if a < b and (a - b) % 2]
        assert min(same) > max(other)
    # The past alone, in other partitions and another order: what came later, and how rows lay, has no part in it.
    past = splits(spark, [row for row in reversed(rows) if row[2] == "train"]).repartition(3)
    assert by_item(fit(past, FEW, 1)) == windows["validation"]


@pytest.mark.spark
def test_the_table_is_published_empty_or_filled_as_the_rule_says(shop, monkeypatch):
    monkeypatch.setattr(jobs.item_factors, "SWEEPS", 1)  # each is some Spark tasks per block
    monkeypatch.setattr(jobs.item_factors, "BLOCKS", 2)
    shop.items([f"i{n:02d},Item {n},," for n in range(12)])
    shop.events([f"u{n % 4},i{n:02d},2026-11-0{n % 9 + 1}T10:00:00Z,5" for n in range(12)])
    shop.settings["candidates"] = {"ials_dimensions": 2, "max_core_items": 12}
    shop.ingest()
    shop.features()
    assert shop.table("item_factors") == []
    assert shop.record("features")["counters"]["factors_fitted"] is False
    shop.settings["candidates"]["max_core_items"] = 11
    shop.features()
    assert shop.record("features")["counters"]["factors_fitted"] is True
    filled = shop.table("item_factors")
    assert {row["item_id"] for row in filled if row["window"] == "serving"} == {f"i{n:02d}" for n in range(12)}
    assert {len(row["factors"]) for row in filled} == {2}
