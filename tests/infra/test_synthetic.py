"""Made-up interactions have the marginals that they promise, at each size, and change by what they promise."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import synthetic
from synthetic import NIGHT, Shape, changed, write
from synthetic_events import births, draw_block, make_plan
from synthetic_fit import fit, read_events
from synthetic_shape import DAY, Events, activity, crowd, gini, pull

from ray_tasks.benchmark.data import load
from schemas.config import freeze, load_yaml
from schemas.errors import ConfigError, SourceError

EVENTS = 100_000
FILES = ("interactions", "items", "users")
ML_1M = {0: 20, 0.1: 27, 0.25: 44, 0.5: 96, 0.75: 208, 0.9: 400, 0.95: 556, 0.99: 907}
"""Quantiles of the ratings per user of MovieLens 1M."""
ML_1M_GINI = 0.634
ML_1M_COUNTS = {5: 2_653, 100: 1_334, 300: 821, 1_000: 318, 2_000: 101, 2_500: 50}
"""Ratings of its items by rank, from 0."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("made-up")
    write(Shape(), EVENTS, path, seed=1, chunk=EVENTS)
    return path


def rows(folder: Path, name: str = "interactions"):
    return pq.read_table(folder / f"{name}.parquet")


def drawn(shape: Shape, events: int, seed: int = 1):
    plan = make_plan(shape, events, seed)
    blocks = [draw_block(plan, number)[0] for number in range(plan.blocks)]
    return plan, Events(*(np.concatenate([getattr(b, c) for b in blocks]) for c in ("user", "item", "rating", "time")))


# Marginals


@pytest.mark.parametrize(
    ("events", "users", "items"),
    [(10**5, 604, 1_655), (10**6, 6_039, 3_706), (10**7, 60_386, 8_297), (10**8, 603_865, 18_574)],
)
def test_sizes_grow_as_documented(events, users, items):
    assert (Shape().users(events), Shape().items(events)) == (users, items)
    row = next(line for line in sys.modules["synthetic_shape"].__doc__.splitlines() if f"| {users:,} " in line)
    assert f"| {items:,} " in row


@pytest.mark.parametrize("events", [10**5, 10**6, 10**7])
def test_users_are_as_active_as_those_of_movielens_at_each_size(events):
    counts = activity(Shape(), events, most=events)
    assert counts.sum() == events
    for quantile, real in ML_1M.items():
        assert np.quantile(counts, quantile) == pytest.approx(real, rel=0.1), quantile


def test_the_popularity_of_items_is_that_of_movielens():
    counts = activity(Shape(), 10**6, most=2_314)
    weights = pull(Shape(), 3_706)
    takers = crowd(Shape(), weights, counts).takers(weights)
    assert takers.sum() == pytest.approx(10**6, rel=0.001)
    assert gini(takers) == pytest.approx(ML_1M_GINI, abs=0.01)
    for rank, real in ML_1M_COUNTS.items():
        assert takers[rank] == pytest.approx(real, rel=0.1), rank


def test_a_written_log_has_the_marginals_of_its_shape(folder):
    log = read_events(folder)
    assert len(log.user) == EVENTS
    per_user = np.bincount(log.user)
    assert sorted(per_user) == sorted(make_plan(Shape(), EVENTS, 1).per_user)
    for quantile, real in ML_1M.items():
        assert np.quantile(per_user, quantile) == pytest.approx(real, rel=0.1), quantile
    weights = pull(Shape(), 1_655)
    expected = np.sort(crowd(Shape(), weights, per_user).takers(weights))[::-1]
    found = np.sort(np.bincount(log.item, minlength=1_655))[::-1]
    assert gini(found) == pytest.approx(gini(expected), abs=0.02)
    assert found[:20].sum() == pytest.approx(expected[:20].sum(), rel=0.1)
    shares = np.bincount(log.rating.astype(int))[1:] / EVENTS
    assert shares == pytest.approx(Shape().ratings, abs=0.02)


def test_a_fit_finds_the_shape_that_a_log_was_made_with():
    shape = Shape(new_share=0.05, drift=0.8, taste=0.5, days=400, joins=(0.0, 0.5, 0.9), rating_item=0.5)
    _, log = drawn(shape, 2 * EVENTS)
    found = fit(replace(log, item=np.unique(log.item, return_inverse=True)[1]))
    close = {"events_per_user": 0.01, "least": 0, "items_per_million": 0.1, "taste": 0.2}
    # The end of the log cuts gaps.
    close |= {"drift": 0.25, "returning": 0.15, "pause": 0.15, "gap_days": 0.4, "step": 0.2}
    for name, tolerance in close.items():
        assert getattr(found, name) == pytest.approx(getattr(shape, name), rel=tolerance), name
    assert found.ties == pytest.approx(shape.ties, abs=0.02)
    assert found.rating_item == pytest.approx(shape.rating_item, abs=0.1)
    assert 0.04 < found.new_share < 0.11, "born in the ninth tenth and first seen in the last counts, too"
    assert found.joins[5] == pytest.approx(0.5, abs=0.05)


# New items


@pytest.mark.parametrize("share", [0.0, 0.0008, 0.03, 0.15])
def test_the_last_tenth_goes_to_new_items_as_much_as_promised(share):
    shape = Shape(new_share=share)
    weights, found = pull(shape, 10_000), []
    for seed in range(20):  # one catalogue's share depends on how popular its few new items are
        born = births(np.random.default_rng(seed), shape, 10_000)
        assert (born == 0).mean() >= 0.5
        there = [(born <= at, (born > 0.9) & (born <= at)) for at in np.linspace(0.9, 1, 20)]
        found.append(np.mean([weights[new].sum() / weights[alive].sum() for alive, new in there]))
    assert np.mean(found) == pytest.approx(share, rel=0.15)


def test_new_items_appear_only_after_their_birth():
    plan, log = drawn(Shape(new_share=0.05), EVENTS)
    assert (plan.born > 0).mean() == pytest.approx(0.5, abs=0.01)
    assert (log.time >= plan.born[log.item]).all()
    last = log.time >= np.quantile(log.time, 0.9)
    new = plan.born[log.item[last]] > np.quantile(log.time, 0.9)
    assert new.mean() == pytest.approx(0.05, abs=0.02)


# Rows


def test_no_user_has_an_item_twice(folder):
    log = read_events(folder)
    assert len(np.unique(log.user * 10_000 + log.item)) == EVENTS


def test_rows_lie_user_by_user_in_the_order_of_time_and_row_groups_hold_whole_users(tmp_path):
    write(Shape(), EVENTS, tmp_path, chunk=10)
    log = read_events(tmp_path)
    assert (np.diff(log.user) >= 0).all()
    assert (np.diff(log.time)[np.diff(log.user) == 0] >= 0).all()
    assert not (np.diff(log.time) >= 0).all(), "the documentation says that the whole is not in the order of time"
    file = pq.ParquetFile(tmp_path / "interactions.parquet")
    groups = [set(file.read_row_group(g)["user_id"].to_pylist()) for g in range(file.num_row_groups)]
    assert len(groups) > 1
    assert sum(map(len, groups)) == len(set.union(*groups)) == log.user.max() + 1


def test_same_shape_size_and_seed_give_the_same_rows_whatever_the_chunk(folder, tmp_path):
    write(Shape(), EVENTS, tmp_path / "small", seed=1, chunk=10)
    write(Shape(), EVENTS, tmp_path / "other", seed=2)
    for name in FILES:
        assert rows(tmp_path / "small", name).equals(rows(folder, name))
        assert not rows(tmp_path / "other", name).equals(rows(folder, name))


def test_a_heavy_user_of_a_small_catalogue_gets_different_items():
    shape = Shape(items_per_million=500, events_per_user=60, taste=0.9, favourites=1)
    plan, log = drawn(shape, 20_000)
    assert plan.per_user.max() > 0.5 * plan.items
    assert len(np.unique(log.user * plan.items + log.item)) == 20_000


def test_all_events_are_before_the_night(folder):
    seconds = rows(folder)["timestamp"]
    midnight = int(np.datetime64(NIGHT, "s").astype(int))
    assert midnight - 30 * DAY < pc.max(seconds).as_py() < midnight
    assert pc.min(seconds).as_py() >= midnight - 1_039 * DAY


def test_texts_are_of_the_items_clusters(folder):
    items = rows(folder, "items")
    assert items["item_id"].to_pylist() == sorted(set(items["item_id"].to_pylist()))
    assert min(pc.count_distinct(items[name]).as_py() for name in ("title", "description")) > 0.9 * len(items)
    crime = items.filter(pc.starts_with(items["categories"], "crime")).to_pylist()
    words = set(synthetic.cluster_names(1)) | set(sys.modules["synthetic_catalogue"].WORDS["crime"].split())
    assert len(crime) == pytest.approx(1_655 / 18, abs=2)
    assert all(words & set(item["description"].replace(",", "").replace(".", "").split()) for item in crime)


# What reads it


def test_a_night_and_the_ranking_benchmark_read_it(folder, monkeypatch):
    monkeypatch.setenv("SYNTHETIC", str(folder))
    monkeypatch.setenv("NIGHTREC_ASSETS", "assets")
    path = Path(__file__).parents[2] / "infra" / "configs" / "synthetic.yaml"
    config = freeze(load_yaml(path), path.name, lake="lake", mlflow_tracking_uri="none")
    assert config.night == NIGHT
    for entity in FILES:
        source = getattr(config.source, entity)
        assert Path(source.path) == folder / f"{entity}.parquet"
        used = {mapping["column"] for mapping in source.columns.model_dump().values() if mapping}
        assert used <= set(pq.read_schema(source.path).names)
    data = load(folder)
    assert (len(data.log.user), len(data.titles)) == (EVENTS, 1_655)


# A day later


def test_exactly_the_promised_changes_and_nothing_else(folder, tmp_path):
    found = changed(folder, tmp_path, users=0.05, items=0.01, seed=3, events=4)
    assert (len(found.users), len(found.items), found.events) == (round(0.05 * 604), round(0.01 * 1_655), 4 * 30)
    assert json.loads((tmp_path / "changed.json").read_text())["items"] == list(found.items)
    before, after = rows(folder), rows(tmp_path)
    midnight = int(np.datetime64(NIGHT, "s").astype(int))
    new = pc.greater_equal(after["timestamp"], midnight)
    assert after.filter(pc.invert(new)).equals(before)
    added = after.filter(new)
    assert sorted(set(added["user_id"].to_pylist())) == list(found.users)
    assert {count["counts"] for count in added["user_id"].value_counts().to_pylist()} == {4}
    assert pc.max(added["timestamp"]).as_py() < midnight + DAY
    log = read_events(tmp_path)
    assert len(np.unique(log.user * 10_000 + log.item)) == len(after)
    assert (np.diff(log.user) >= 0).all()
    assert (np.diff(log.time)[np.diff(log.user) == 0] >= 0).all()
    old, texts = rows(folder, "items").to_pylist(), rows(tmp_path, "items").to_pylist()
    assert [new["item_id"] for was, new in zip(old, texts, strict=True) if was != new] == list(found.items)
    assert rows(tmp_path, "users").equals(rows(folder, "users"))


def test_changes_do_not_depend_on_row_groups_and_go_on_day_by_day(folder, tmp_path):
    write(Shape(), EVENTS, tmp_path / "small", seed=1, chunk=10)
    one, other = changed(folder, tmp_path / "a"), changed(tmp_path / "small", tmp_path / "b")
    assert one == other
    assert rows(tmp_path / "a").equals(rows(tmp_path / "b"))
    changed(tmp_path / "a", tmp_path / "c", seed=2)
    about = json.loads((tmp_path / "c" / "synthetic.json").read_text())
    assert about["night"] == "2026-01-03"
    assert about["events"] == len(rows(tmp_path / "c")) == EVENTS + 2 * one.events


def test_a_share_of_nothing_changes_nothing(folder, tmp_path):
    assert changed(folder, tmp_path, users=0, items=0).events == 0
    assert all(rows(tmp_path, name).equals(rows(folder, name)) for name in FILES)


# What is refused


def test_what_cannot_be_is_refused_with_all_problems(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"(?s)growth.*taste|taste.*growth"):
        Shape(growth=2, taste=1)
    with pytest.raises(ConfigError, match="do not fit"):
        make_plan(Shape(items_per_million=100), 10**6, 1)
    with pytest.raises(SourceError, match=r"interactions\.parquet"):
        read_events(tmp_path)
    with pytest.raises(SourceError, match=r"synthetic\.json"):
        changed(tmp_path, tmp_path / "next")
    with pytest.raises(ConfigError, match="users: 0 to 1"):
        changed(folder, tmp_path, users=5)
    with pytest.raises(ConfigError, match="itself"):
        changed(folder, folder)


def test_the_command_writes_a_log_and_tells(monkeypatch, capsys, tmp_path):
    command = ["synthetic.py", "--events", "2e4", "--to", str(tmp_path / "log"), "--set", "growth=0.5", "days=100"]
    monkeypatch.setattr(sys, "argv", command)
    synthetic.main()
    assert "20,000 of 20,000 events" in capsys.readouterr().out
    assert json.loads((tmp_path / "log" / "synthetic.json").read_text())["shape"]["growth"] == 0.5
    monkeypatch.setattr(
        sys, "argv", ["synthetic.py", "--day-after", str(tmp_path / "log"), "--to", str(tmp_path / "next")]
    )
    synthetic.main()
    assert "6 users" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command[:-2], "grwth=0.5"])
    with pytest.raises(ConfigError, match="grwth"):
        synthetic.main()
