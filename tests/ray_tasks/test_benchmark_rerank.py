"""Re-ranking in the benchmark and in a night: what validation decides, and what a served list may lose: nothing."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_log import Event, item_id, log_of, random_vectors, texts_of, user_id

from ray_tasks.benchmark.data import Dataset
from ray_tasks.benchmark.rerank import Plan, Ranked, Told, rerank, training_pairs
from ray_tasks.interactions.windows import window
from ray_tasks.reranking.fake import FakeAnswerScorer
from ray_tasks.reranking.stage import drawn_ids, movable, reordered, reranked
from schemas.config import RunConfig, freeze
from schemas.errors import ConfigError
from schemas.generation_config import Generator
from schemas.ranking_config import FinalList, Ranking, Rerank
from schemas.tables import TABLES

USERS, ITEMS, K = 36, 24, 8
TITLES = tuple(f"Title{chr(97 + n)}" for n in range(ITEMS))
SCHEMA = TABLES["recommendations"].schema


def happened() -> list[Event]:
    """Seven items of each user in training, one in validation, one in test."""
    drawn, found = np.random.default_rng(5), []
    names = ["train"] * 7 + ["validation", "test"]
    for user in range(USERS):
        taken = zip(drawn.permutation(ITEMS)[:9].tolist(), names, strict=True)
        found += [Event(user, item, 100.0 * n + user, name) for n, (item, name) in enumerate(taken)]
    return found


LOG = log_of(happened(), ITEMS)


def ranked_window(name: str) -> Ranked:
    """Lists that hold what the user took next, at any place."""
    view, drawn = window(LOG, name), np.random.default_rng(1)
    lists = []
    for user in range(len(view.user_ids)):
        others = np.setdiff1d(np.arange(ITEMS), [*view.history[user], *view.targets[user]])
        lists.append(drawn.permutation([*view.targets[user], *drawn.permutation(others)[: K - 1]]))
    return Ranked(view, np.array(lists))


def data() -> Dataset:
    kinds = tuple((("Crime", "War", "Music")[n % 3],) for n in range(ITEMS))
    return Dataset("small", "0" * 64, LOG, TITLES, TITLES, kinds, ("",) * ITEMS)


def knowing(*windows: Ranked):
    """A reader who knows what users took next, by a title of their past."""
    wanted = {}
    for one in windows:
        for user, target in zip(range(len(one.lists)), one.targets.items, strict=True):
            wanted[(one.view.name, TITLES[target])] = {TITLES[item] for item in one.view.history[user]}

    def rule(prompt: str, answer: str) -> float:
        if "Next film:" not in prompt:
            return 0.0
        told = {part.split()[0] for part in re.search(r"Liked: (.*)", prompt)[1].split("; ")}
        shown = re.search(r"Next film: (\w+)", prompt)[1]
        return 3.0 * (answer == " Yes" and any(told <= wanted.get((one.view.name, shown), set()) for one in windows))

    return rule


def outcome(rule, tokens=10**7):
    windows = ranked_window("validation"), ranked_window("test")
    plan = Plan("models/any", Path("unused"), tokens=tokens, kind="film", seed=3)
    texts = texts_of(random_vectors(ITEMS))
    return rerank(data(), texts, LOG, *windows, plan, {name: FakeAnswerScorer(rule) for name in ("base", "tuned")})


def test_a_reader_who_knows_helps_where_it_is_asked_and_is_chosen_on_validation():
    windows = ranked_window("validation"), ranked_window("test")
    found = outcome(knowing(*windows))
    assert "pointwise" in found["chosen"]
    assert len(found["test"]["arms"]) == 12
    best = found["test"]["arms"][found["chosen"]]
    assert best["helps"]
    assert best["difference"]["low"] > 0
    assert best["weight"] == found["validation"]["arms"][found["chosen"]]["weight"] > 0
    assert len(found["test"]["arms"]["tuned listwise"]["position_bias"]) == 10


def test_the_test_window_has_no_say_in_the_weights():
    only = outcome(knowing(ranked_window("test")))
    assert only["chosen"] is None
    for name, arm in only["test"]["arms"].items():
        if name.endswith("+ranker"):
            assert arm["weight"] == only["validation"]["arms"][name]["weight"]
    blend, alone = (only["test"]["arms"][f"base zero-shot pointwise{end}"] for end in ("+ranker", ""))
    assert blend["weight"] == blend["difference"]["value"] == 0
    assert alone["difference"]["value"] > 0


def test_the_budget_is_for_all_arms_and_windows_and_0_is_off():
    found = outcome(knowing(), tokens=60_000)
    told = [arm["tokens"] for name in ("validation", "test") for n, arm in found[name]["arms"].items() if "+" not in n]
    assert 0 < sum(told) <= 60_000
    assert outcome(knowing(), tokens=0) == {}


def test_tuning_learns_from_training_events_alone():
    plan = Plan("models/any", Path("unused"), kind="film", seed=3)
    told = Told.of(data(), LOG, texts_of(random_vectors(ITEMS)), "film")
    pairs = training_pairs(told, plan)
    assert {"train", "validation"} <= {pair.part for pair in pairs}
    short = log_of([event for event in happened() if event.split == "train"], ITEMS)
    assert training_pairs(Told.of(data(), short, told.texts, "film"), plan) == pairs


def list_rows(user: int, items: list[int], pins=()) -> list[dict]:
    row = {"user_id": user_id(user), "arm": "a"}
    return [
        {**row, "rank": n, "item_id": item_id(i), "score": -float(n), "sources": ["pin" if i in pins else "ease"]}
        for n, i in enumerate(items, 1)
    ]


def as_table(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@given(st.permutations(range(8)), st.sets(st.integers(0, 7)), st.integers(0, 9), st.randoms())
def test_rows_change_places_but_pins_and_the_exploring_end_do_not(items, pins, explore, chance):
    table = as_table([*list_rows(0, [1, 2, 3]), *list_rows(1, items, pins), *list_rows(2, [5, 4])])
    ids = np.array([user_id(1)], dtype=object)
    own = table.slice(3, 8)
    ranked = movable(own, ids, LOG.item_ids, explore)[0]
    free = [i for n, i in enumerate(items) if i not in pins and n < 8 - explore]
    assert ranked.tolist() == free
    new = list(free)
    chance.shuffle(new)
    found = reordered(table, {user_id(1): [item_id(i) for i in new], "u99": []}).to_pylist()
    assert found[:3] + found[11:] == table.to_pylist()[:3] + table.to_pylist()[11:]
    turn = iter(new)
    assert [row["item_id"] for row in found[3:11]] == [item_id(next(turn) if i in free else i) for i in items]
    assert [row["rank"] for row in found[3:11]] == list(range(1, 9))
    assert {(r["item_id"], r["score"]) for r in found} == {(r["item_id"], r["score"]) for r in table.to_pylist()}


@dataclass(frozen=True)
class Lists:
    """Two users a block, each with a list of unseen items."""

    user_ids: np.ndarray

    @property
    def count(self) -> int:
        return -(-len(self.user_ids) // 2)

    def table(self, number: int) -> pa.Table:
        rows: list[dict] = []
        for one in self.user_ids[2 * number : 2 * number + 2]:
            user = int(one[1:])
            rows += list_rows(user, np.random.default_rng(user).permutation(ITEMS)[:K].tolist(), {3})
        return as_table(rows)


def night(**settings):
    """A task that knows the items, and the lists of all users before and after the stage."""
    config = RunConfig.model_construct(
        ranking=Ranking(rerank=Rerank(**settings)), seed=7, generator=Generator(backend="fake"), final_list=FinalList()
    )
    tables = {
        "items": pa.table(
            {"item_id": LOG.item_ids, "title": TITLES, "categories": [["Crime"]] * ITEMS},
        ),
        "vocabularies": pa.Table.from_pylist([], schema=TABLES["vocabularies"].schema),
        "item_embeddings": pa.table(
            {
                "item_id": LOG.item_ids,
                "kind": ["document"] * ITEMS,
                "vector": pa.array(random_vectors(ITEMS).tolist(), pa.list_(pa.float32())),
            }
        ),
    }
    read = lambda name: SimpleNamespace(read=lambda *_: tables[name])  # noqa: E731
    task = SimpleNamespace(config=config, read=read, counters={})
    before = Lists(LOG.user_ids)
    after = reranked(
        task, lambda: LOG, before, run=lambda function, *given, **named: function(*given, **named, threads=1)
    )
    tables_of = [pa.concat_tables([one.table(n) for n in range(one.count)]) for one in (before, after)]
    return task, before, after, *tables_of


@pytest.mark.parametrize("method", ["pointwise", "listwise"])
def test_a_share_of_the_users_gets_another_order_the_same_one_every_night(method):
    task, _, after, old, new = night(method=method, share=0.5, weight=1, in_context=2)
    figures = task.counters["rerank"]
    assert figures["users"] == figures["drawn"] == len(after.orders) == USERS // 2
    assert figures["tokens"] > 0
    changed = {row["user_id"] for row, other in zip(old.to_pylist(), new.to_pylist(), strict=True) if row != other}
    assert changed <= set(after.orders)
    assert len(changed) > USERS // 4
    key = lambda row: (row["user_id"], row["item_id"])  # noqa: E731
    assert sorted(map(key, old.to_pylist())) == sorted(map(key, new.to_pylist()))
    assert night(method=method, share=0.5, weight=1, in_context=2)[4] == new
    few = drawn_ids(LOG.user_ids[::2], Rerank(share=0.5), 7)
    assert set(drawn_ids(LOG.user_ids, Rerank(share=1), 7)) == set(LOG.user_ids)
    assert set(few) <= set(LOG.user_ids[::2])


@pytest.mark.parametrize("method", ["pointwise", "listwise"])
def test_tokens_bound_the_users_and_without_any_nothing_changes(method):
    task, _, after, *_ = night(method=method, share=1, weight=1, tokens=1_500)
    assert 0 < task.counters["rerank"]["users"] == len(after.orders) < USERS
    assert task.counters["rerank"]["tokens"] <= 1_500
    for settings in ({"tokens": 0}, {"share": 0}, {"weight": 0}):
        _, _, _, old, new = night(method=method, **{"share": 1, "weight": 1, **settings})
        assert old == new
    *_, old, new = night(method=method, share=1, weight=1, places=3)
    rows = list(zip(old.to_pylist(), new.to_pylist(), strict=True))
    assert all(row == other for row, other in rows if row["rank"] > 4)  # three, and one may be pinned
    assert any(row != other for row, other in rows if row["rank"] <= 4)


def test_off_is_the_default_and_leaves_the_blocks_alone():
    task, before, after, *_ = night()
    assert after is before
    assert task.counters == {}


def test_an_endpoint_cannot_rerank(tmp_path):
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    about = {"format": "csv", "path": "/x", "columns": columns}
    source = {"name": "s", "interactions": about, "items": {**about, "columns": {"item_id": "i", "title": "t"}}}
    document = {"source": source, "generator": {"backend": "openai"}, "ranking": {"rerank": {"method": "listwise"}}}
    with pytest.raises(ConfigError, match=r"ranking\.rerank\.method"):
        freeze(document, lake=str(tmp_path), mlflow_tracking_uri="x", encoder__path="e", generator__path="g")
