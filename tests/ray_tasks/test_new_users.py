"""Users without a history: who is served, what is made of their words, and what no list may depend on."""

import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_lists import candidate, lists_of
from small_log import AS_OF, START, TUNED, Event, item_id, log_of, scoring

from ray_tasks import embeddings
from ray_tasks.encoder import FakeEncoder
from ray_tasks.explaining.statements import Item, Usual, statements, text_of
from ray_tasks.explaining.wording import Popularity
from ray_tasks.interactions.rows import Rows, places
from ray_tasks.interactions.served import new_users, served_users
from ray_tasks.interactions.stated import UNDATED, Stated
from ray_tasks.interactions.windows import window
from ray_tasks.own_words import CHARACTERS, REQUESTS, of_tables, texts_of
from ray_tasks.ranker.gate import Decision, ServingModel
from ray_tasks.ranker.ranked_lists import recommendations
from ray_tasks.ranker.trees import Ranker
from ray_tasks.retrieval.candidate_blocks import Users, scores_of
from ray_tasks.retrieval.stated import StatedSource
from ray_tasks.retrieval.text_similarity import item_vectors, query_vectors
from ray_tasks.retrieval.tuning import tuning_users
from ray_tasks.retrieval.two_tower import TwoTowerSettings, fit_two_tower
from schemas.candidates_config import Candidates
from schemas.config import Features
from schemas.generation_config import Encoder
from schemas.tables import TABLES

HOSTILE = [
    row["text"] * row.get("times", 1)
    for row in map(json.loads, (Path(__file__).parents[1] / "data" / "hostile_texts.jsonl").read_text().splitlines())
]


def requests_table(*rows) -> pa.Table:
    """Rows (user, hours before AS_OF, text)."""
    columns = ("user_id", "timestamp", "text")
    found = [dict(zip(columns, (u, AS_OF - timedelta(hours=h), t), strict=True)) for u, h, t in rows]
    return pa.Table.from_pylist(found, schema=TABLES["requests"].schema)


def users_table(**attributes) -> pa.Table:
    """Users with their attributes."""
    found = [
        {"user_id": user, "attributes": [{"field": field, "text": text} for field, text in told.items()]}
        for user, told in attributes.items()
    ]
    return pa.Table.from_pylist(found, schema=TABLES["users"].schema)


def words_of(requests, users=None, fields=()):
    """The texts that are encoded, by user."""
    found = texts_of(of_tables(requests, users or users_table(), fields, AS_OF)).to_pylist()
    return {row["user_id"]: row["stated"] for row in found}


def ids(*names):
    return np.array(names, dtype=object)


def test_new_users_are_those_without_an_interaction_and_who_asked_last_comes_first():
    described = users_table(z={}, b={}, known={}, a={})
    asked = requests_table(("b", 5, "x"), ("c", 2, "x"), ("c", 9, "y"), ("known", 1, "x"), ("late", 0, "x"))
    assert new_users(described, asked, ids("known"), AS_OF).tolist() == ["c", "b", "a", "z"]


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({}, ["a", "b", "c", "u1", "u2"]),
        ({"serve_new_users": False}, ["u1", "u2"]),
        ({"max_users": 2}, ["u1", "u2"]),
        ({"max_users": 3}, ["b", "u1", "u2"]),
    ],
)
def test_new_users_are_served_where_the_settings_leave_room(features, expected):
    tables = {
        "user_histories": pa.table({"user_id": ["u2", "u1"]}),  # u0 has too few interactions to be served
        "users": users_table(a={}, c={}, u0={}, u1={}),
        "requests": requests_table(("b", 5, "x")),
    }
    task = SimpleNamespace(
        config=SimpleNamespace(features=Features(**features), as_of=AS_OF),
        read=lambda name: SimpleNamespace(read=tables[name].select),
    )
    assert served_users(task, ids("u0", "u1", "u2")).tolist() == expected


def test_the_newest_requests_speak_and_tastes_only_where_the_source_names_them():
    asked = requests_table(*(("a", hours, f"wish {hours}") for hours in (1, 2, 3, 4)), ("b", 1, " \n "))
    users = users_table(b={"likes": "war|drama", "gender": "F"}, c={"gender": "F", "age": "25"})
    assert words_of(asked, users) == {"a": "wish 1. wish 2. wish 3"}
    assert words_of(asked, users, ("likes",)) == {"a": "wish 1. wish 2. wish 3", "b": "war drama"}
    times = {one.user_id: one.time for one in of_tables(asked, users, ("likes",), AS_OF)}
    assert times == {"a": int((AS_OF - timedelta(hours=1)).timestamp() * 1e6), "b": UNDATED}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.text(max_size=20)), max_size=6),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-9, 0), st.text(max_size=20)), max_size=6),
    st.dictionaries(st.sampled_from(["gender", "age"]), st.sampled_from(["F", "M", "7", "70"])),
)
def test_neither_words_after_as_of_nor_who_a_user_is_change_what_is_encoded_or_who_is_served(said, later, traits):
    one, other = requests_table(*said), requests_table(*said, *later)
    plain, told = users_table(a={}, e={}), users_table(a=traits, e=traits)
    assert words_of(one, plain, ("likes",)) == words_of(other, told, ("likes",))
    assert new_users(plain, one, ids("b"), AS_OF).tolist() == new_users(told, other, ids("b"), AS_OF).tolist()


def test_a_hostile_request_is_a_bounded_line_and_a_finite_vector():
    asked = [f"{text} Write to jo@example.com!" for text in HOSTILE] + ["", "\u202e\x00", "词" * 100_000, "x " * 10**6]
    found = words_of(requests_table(*((f"u{n}", 1, text) for n, text in enumerate(asked))))
    assert len(found) >= len(HOSTILE)
    for text in found.values():
        assert text.isprintable()
        assert 0 < len(text) <= REQUESTS * (CHARACTERS + 2)
        assert "jo@example.com" not in text
    vectors = FakeEncoder().encode(list(found.values()))
    scores = StatedSource.fit(vectors[:20], np.arange(20, dtype=np.float32), 30.0).score_texts(vectors)
    assert (np.isnan(scores) | ((scores > 0) & (scores <= 1))).all()


def embedded(told: dict[str, str]) -> pa.Table:
    """Rows of `item_embeddings` for documents, by the fake encoder."""
    vectors = FakeEncoder().encode(list(told.values()))
    columns = {"item_id": list(told), "kind": ["document"] * len(told), "vector": vectors.tolist()}
    return pa.table(columns)


DOCUMENTS = {
    item_id(n): text
    for n, text in enumerate(
        [
            "war army battle",
            "war army story",
            "love kiss wedding",
            "love kiss paris",
            "space star rocket",
            "space orbit",
        ]
    )
}


def test_a_query_that_is_an_items_own_text_is_nearest_to_it():
    found = embedded(DOCUMENTS)
    vectors = item_vectors(found, ids(*DOCUMENTS))
    queries = query_vectors(found, FakeEncoder().encode(list(DOCUMENTS.values())))
    assert np.allclose(queries, vectors, atol=1e-6)
    both = pa.concat_tables([found, found.set_column(1, "kind", pa.repeat("profile", len(found)))])
    assert np.allclose(
        query_vectors(both, FakeEncoder().encode(["war army battle"]))[0], item_vectors(both, ids(*DOCUMENTS))[0]
    )


def test_words_weigh_more_than_popularity_and_popularity_decides_among_what_is_near():
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0.6, 0.8, 0], [0.4, 0, 0.9165], [0, 1, 0], [0, 0, 0]], dtype=np.float32)
    taken = np.array([0, 9, 50, 1_000, 1_000, 1_000], dtype=np.float32)
    source = StatedSource.fit(vectors, taken, 10.0)
    scores = source.score_texts(np.array([[1, 0, 0], [0, 0, 0]], dtype=np.float32))
    # The nearest that somebody took, then what nobody took, and neither what is far nor what has no text.
    assert np.argsort(-np.nan_to_num(scores[0]), kind="stable")[:3].tolist() == [1, 0, 2]
    assert np.isnan(scores[0]).tolist() == [False, False, False, True, True, True]
    assert np.isnan(scores[1]).all()
    light = StatedSource.fit(vectors, taken, 1.0).score_texts(np.eye(3, dtype=np.float32)[:1])
    assert np.nanargmax(light) == 2
    assert np.isnan(source.score(Rows.of(np.array([0]), np.array([1]), 1))).all()


def served_lists(stated, drawn=None, tuned=None, k=4, window_="serving"):
    """Lists of two users with a history and of two without, by the untrained ranker: items by user."""
    if drawn is None:
        drawn = [Event(u, item, 10 * item + u, "train") for u in range(3) for item in (2, 3, 4) if (u, item) != (0, 3)]
    log, texts = log_of(drawn, len(DOCUMENTS)), embedded(DOCUMENTS)
    vectors = item_vectors(texts, log.item_ids)
    user_ids, words, times = ([one[place] for one in stated] for place in range(3))
    queries = query_vectors(texts, FakeEncoder().encode(words)) if words else np.zeros((0, 32), dtype=np.float32)
    said = Stated(ids(*user_ids), queries, np.array(times, dtype=np.int64))
    everybody = ids("u00", "u01", "v0", "v1")
    settings = Candidates(per_source=10)
    scorer, users = scoring(
        log, window_, served=everybody, vectors=vectors, tuned=tuned or TUNED, settings=settings, stated=said
    )
    lists = lists_of(scorer.table(users).to_pylist())
    rows = recommendations(lists, Ranker().score(lists), k, "default").to_pylist()
    return {user: [row["item_id"] for row in rows if row["user_id"] == user] for user in users.user_ids}


def test_a_new_user_with_a_request_gets_what_fits_it_and_one_without_what_newcomers_take():
    found = served_lists([("v0", "war army", 1)])
    assert set(found["v0"][:2]) == {item_id(0), item_id(1)}  # which nobody took
    assert found["v0"][2:] == found["v1"][:2]
    assert found["v1"] == [item_id(n) for n in (2, 3, 4)]  # what users began with
    without = served_lists([])
    assert (without["v0"], without["u00"], without["u01"]) == (found["v1"], found["u00"], found["u01"])


def test_words_of_users_with_a_history_change_no_list_and_newcomers_need_not_be_a_source():
    assert served_lists([("u00", "war army", 1)]) == served_lists([])
    fewer = {name: found for name, found in TUNED.items() if name != "newcomers"}
    assert served_lists([], tuned=fewer)["v1"] == [item_id(n) for n in (2, 4, 3)]


def test_a_window_of_the_past_knows_only_words_that_were_said_before_it_began():
    drawn = [*(Event(0, item, item, "train") for item in range(5)), Event(1, 3, 50, "validation")]
    begun = int((START + timedelta(hours=4)).timestamp() * 1e6)  # the last event of train
    early, late, undated = ([("u01", "love kiss", time)] for time in (begun, begun + 1, UNDATED))
    plain = served_lists([], drawn, window_="validation")
    assert served_lists(early, drawn, window_="validation") != plain
    assert served_lists(late, drawn, window_="validation") == plain
    assert served_lists(undated, drawn, window_="validation") == plain
    said = Stated(ids("u01"), np.ones((1, 3), dtype=np.float32), np.array([begun]))
    view = window(log_of(drawn), "validation", stated=said)
    assert tuning_users(view, 9, 1, "stated").user_ids.tolist() == ["u01"]
    assert len(tuning_users(window(log_of(drawn), "validation"), 9, 1, "stated").user_ids) == 0


def test_two_towers_score_new_users_by_their_words():
    histories = Rows.of(np.repeat(np.arange(6), 2), np.array([0, 1, 1, 0, 2, 3, 3, 2, 4, 5, 5, 4]), 6)
    vectors = item_vectors(embedded(DOCUMENTS), ids(*DOCUMENTS))
    towers = fit_two_tower(histories, vectors, 10, TwoTowerSettings(dimensions=2, epochs=1, batch=4, negatives=8), 1)
    said = Stated(ids("b"), vectors[:1], np.array([1]))
    users = Users(ids("a", "b"), Rows(np.zeros(3, dtype=np.int64), histories.items[:0]), np.zeros(2), None, said)
    scores = scores_of(towers, users)
    assert np.isnan(scores[0]).all()
    assert np.array_equal(scores[1], towers.score_texts(vectors[:1])[0])


@pytest.mark.parametrize("serving", ["ranker", "ease", "popularity"])
def test_whatever_serves_new_users_get_what_is_near_then_what_newcomers_take(serving):
    ranks = {0: {"popularity": 1}, 1: {"newcomers": 2, "stated": 2}, 2: {"newcomers": 1}, 3: {"stated": 1}}
    rows = [candidate(0, item, {"popularity": 9, "newcomers": 9, **own}, user_count=0) for item, own in ranks.items()]
    lists = lists_of(rows)
    scores = ServingModel(Ranker(), Decision(serving, 0, {}, "")).score(lists)
    found = [row["item_id"] for row in recommendations(lists, scores, 9, "default").to_pylist()]
    assert found == [item_id(n) for n in (3, 1, 2, 0)]


def test_a_new_user_is_told_what_is_true_of_new_users():
    week = Popularity(7, AS_OF.date())

    def told(*sources, count=3):
        return text_of(statements(list(sources), Item("x"), {}, {}, Usual({}, {}), count, week, is_new=True))

    assert "what you said you like" in told("popularity", "newcomers", "stated")
    assert told("popularity", "newcomers") == "Popular with people who are new here."
    assert told("popularity").startswith("Popular with everyone in the 7 days")
    assert "history" not in "".join(told(one) for one in ("popularity", "trending", "two_tower", "pin"))


def test_what_users_said_is_embedded_beside_their_profiles(tmp_path, monkeypatch):
    tables = {
        "item_documents": pa.table({"item_id": ["i"], "document": ["war army"]}),
        "item_profiles": pa.Table.from_pylist(
            [{"item_id": "i", "summary": "War.", "audience": "", "themes": [], "moods": [], "aspects": []}]
        ),
        "user_profiles": pa.table(
            {"user_id": ["u"], "long_term": ["Enjoys war."], "recent_interest": [""], "likes": [[{"label": "war"}]]}
        ),
        "users": users_table(),
        "requests": requests_table(("u", 1, "more war"), ("v", 1, "space"), ("w", 1, "")),
    }
    published = {}
    task = SimpleNamespace(
        config=SimpleNamespace(encoder=Encoder(backend="fake"), source=SimpleNamespace(users=None), as_of=AS_OF),
        counters={},
        read=lambda name: SimpleNamespace(read=lambda columns=None: tables[name]),
        previous=lambda name: None,
        stage=lambda name: SimpleNamespace(uri=str(tmp_path / name), table=TABLES[name]),
        publish=lambda stage: published.update({stage.table.name: pq.read_table(stage.uri).to_pylist()}),
    )
    monkeypatch.setattr(
        embeddings, "encode", lambda missing, config: embeddings.EncoderActor(config)(missing).drop(["text"])
    )
    embeddings.embed(task)
    found = {(row["user_id"], row["kind"]): row["vector"] for row in published["user_embeddings"]}
    assert found.keys() == {("u", "profile"), ("u", "stated"), ("v", "stated")}
    assert np.allclose(found["v", "stated"], FakeEncoder().encode(["space"])[0])


def test_ids_are_found_and_strangers_are_not():
    assert places(ids("c", "x", "a"), ids("a", "b", "c")).tolist() == [2, -1, 0]
    rows = Rows.of(np.array([0, 0, 2]), np.array([5, 6, 7]), 3).at(np.array([2, -1, 0, 1]))
    assert [rows[n].tolist() for n in range(4)] == [[7], [], [5, 6], []]
