"""What becomes of the ranker's order: rules hold, the defaults change nothing, the greedy choice is the plain one."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from small_lists import candidate, lists_and_scores, lists_of
from small_log import item_id, user_id

from ray_tasks.final_list.build import FinalLists
from ray_tasks.final_list.catalogue import CatalogueFields
from ray_tasks.final_list.greedy import SMOOTHING, Cap, Pool, choose
from ray_tasks.final_list.hidden import Hidden, hidden
from ray_tasks.final_list.shown import demoted, shown
from ray_tasks.interactions.rows import Rows
from ray_tasks.ranker.ranked_lists import best, recommendations
from ray_tasks.vocabulary.labels import Label, Vocabulary
from schemas.errors import ConfigError
from schemas.ranking_config import FinalList, Limit, Pin, Rule

N = 12
BRANDS = ("Acme", "Bolt", "")
ITEMS = pa.Table.from_pylist(
    [
        {
            "item_id": item_id(n),
            "categories": ["even" if n % 2 == 0 else "odd"] + (["rare"] if n == 7 else []),
            "texts": [{"field": "brand", "text": BRANDS[n % 3]}],
        }
        for n in reversed(range(N))
    ]
)
CATALOGUE = CatalogueFields.of(ITEMS)
VECTORS = np.random.default_rng(2).normal(size=(N, 3)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
USERS = np.array([user_id(n) for n in range(4)], dtype=object)
HISTORIES = Rows.of(np.array([0, 0, 2]), np.array([4, 2, 3]), 4)


NOTHING, NEVER = Hidden.none(len(USERS), N), csr_matrix((len(USERS), N), dtype=np.int64)


def final(hidden=NOTHING, shown=NEVER, **settings_):
    return FinalLists(FinalList(**{"explore": 0} | settings_), CATALOGUE, VECTORS, USERS, HISTORIES, hidden, shown)


def served(drawn, k, **settings_):
    lists, scores = drawn
    maker = final(**settings_)
    return maker.pinned(recommendations(lists, scores, k, "default", maker.places), k).to_pylist()


def by_user(rows):
    return {user: [row for row in rows if row["user_id"] == user] for user in sorted({row["user_id"] for row in rows})}


@settings(deadline=None)
@given(lists_and_scores(), st.integers(1, 8))
def test_the_defaults_change_nothing(drawn, k):
    rows, ranks = final().places(*drawn, k)
    plain = best(*drawn, k)
    assert np.array_equal(rows, plain[0])
    assert np.array_equal(ranks, plain[1])


@settings(deadline=None)
@given(lists_and_scores(), st.integers(1, 8), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5]))
def test_lists_hold_each_users_own_candidates_once_and_as_many_as_there_are(drawn, k, diversity, calibration):
    rows, ranks = final(diversity=diversity, calibration=calibration, pool=20).places(*drawn, k)
    wanted, _ = best(*drawn, k)
    users = drawn[0].user_of
    assert len(set(rows.tolist())) == len(rows)
    assert not np.isnan(drawn[1][rows]).any()
    assert users[rows].tolist() == users[wanted].tolist()
    for user in np.unique(users[rows]):
        assert ranks[users[rows] == user].tolist() == list(range(1, (users[rows] == user).sum() + 1))


@settings(deadline=None)
@given(lists_and_scores(), st.integers(1, 8), st.sampled_from([0.0, 0.4]))
def test_what_is_excluded_is_never_served_and_the_next_best_takes_its_place(drawn, k, diversity):
    rules = (Rule(value=item_id(3)), Rule(field="brand", value="Bolt"), Rule(field="categories", value="rare"))
    rows = served(drawn, k, exclude=rules, diversity=diversity)
    barred = {item_id(n) for n in range(N) if n in (3, 7) or BRANDS[n % 3] == "Bolt"}
    assert not {row["item_id"] for row in rows} & barred
    lists, scores = drawn
    table = lists.table.to_pylist()
    for user, own in by_user(rows).items():
        able = [
            s for s, row in zip(scores, table, strict=True) if row["user_id"] == user and row["item_id"] not in barred
        ]
        assert len(own) == min(k, int(np.isfinite(able).sum()))


@settings(deadline=None)
@given(lists_and_scores(), st.integers(1, 8), st.integers(1, 3))
def test_no_list_holds_more_of_a_kind_than_its_cap(drawn, k, most):
    rows = served(drawn, k, caps=(Limit(field="brand", most=most), Limit(most=most + 1)))
    for own in by_user(rows).values():
        numbers = [int(row["item_id"][1:]) for row in own]
        for brand in ("Acme", "Bolt"):
            assert sum(BRANDS[n % 3] == brand for n in numbers) <= most
        for rest in (0, 1):
            assert sum(n % 2 == rest for n in numbers) <= most + 1


@settings(deadline=None)
@given(lists_and_scores(), st.integers(3, 8))
def test_pins_stand_where_they_are_put_unless_the_user_took_the_item(drawn, k):
    rows = served(drawn, k, pin=(Pin(item_id=item_id(2), place=1), Pin(item_id="i11", place=3)))
    plain = by_user(served(drawn, k))
    for user, own in by_user(rows).items():
        ids = [row["item_id"] for row in own]
        assert [row["rank"] for row in own] == list(range(1, len(own) + 1))
        assert len(set(ids)) == len(ids)
        assert len(ids) <= k
        if user == user_id(0):
            assert ids[0] == item_id(2) or item_id(2) not in ids or item_id(2) in [r["item_id"] for r in plain[user]]
        else:
            assert (ids[0], own[0]["sources"]) == (item_id(2), ["pin"])
        others = [one["item_id"] for one in plain[user] if one["item_id"] not in ("i11", item_id(2))]
        assert [one for one in ids if one not in ("i11", item_id(2))] == others[
            : len(ids) - len({"i11", item_id(2)} & set(ids))
        ]


@settings(deadline=None)
@given(lists_and_scores(), st.integers(1, 6), st.integers(1, 3))
def test_the_last_places_go_to_new_items_and_the_rest_stays(drawn, k, explore):
    lists, scores = drawn
    rows, ranks = final(explore=explore).places(lists, scores, k)
    plain, _ = best(lists, scores, k)
    explore, new, users = min(explore, k), lists.column("new_items_rank"), lists.user_of
    for user in range(len(lists)):
        own, before = rows[users[rows] == user], plain[users[plain] == user]
        assert ranks[users[rows] == user].tolist() == list(range(1, len(own) + 1))
        assert len(set(own.tolist())) == len(own)
        wanted = np.flatnonzero((users == user) & ~np.isnan(new) & ~np.isnan(scores))
        wanted = wanted[np.argsort(new[wanted], kind="stable")][:explore]
        assert set(wanted) <= set(own.tolist())
        assert len(before) <= len(own) <= k
        head = [row for row in before[: k - explore] if row in own]
        assert own[: len(head)].tolist() == head == before[: k - explore].tolist()


def test_a_pinned_item_of_a_users_past_is_not_shown_again():
    lists = lists_of([candidate(0, 5, {"ease": 1}), candidate(0, 6, {"ease": 2}), candidate(1, 6, {"ease": 1})])
    rows = served((lists, np.array([2.0, 1.0, 1.0])), 2, pin=(Pin(item_id=item_id(4)),))
    assert [row["item_id"] for row in rows] == ["i05", "i06", "i04", "i06"]


def test_an_unknown_field_is_an_error_that_names_the_known_and_an_unknown_value_a_warning(caplog):
    drawn = lists_of([candidate(0, 5, {"ease": 1})]), np.array([1.0])
    with pytest.raises(ConfigError, match=r"'colour'.*brand, categories, item_id"):
        served(drawn, 1, exclude=(Rule(field="colour", value="red"),))
    assert len(served(drawn, 1, exclude=(Rule(value="gone"),))) == 1
    assert "no item has item_id 'gone'" in caplog.text


pools = st.integers(1, 9).flatmap(
    lambda n: st.tuples(st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.0]), min_size=n, max_size=n), st.integers(0, 50))
)


def pool_of(values, seed, caps=()):
    chance, n = np.random.default_rng(seed), len(values)
    vectors = chance.normal(size=(n, 3))
    mixes = chance.dirichlet(np.ones(3), n)
    return Pool(
        np.sort(values)[::-1].astype(float),
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        mixes,
        chance.dirichlet(np.ones(3)),
        caps,
    )


def plainly(pool, k, diversity, calibration):
    """The greedy choice, written without arrays."""
    low, high = min(pool.scores), max(pool.scores)
    chosen = []

    def value(one):
        relevance = (pool.scores[one] - low) / (high - low) if high > low else 0
        likeness = max((float(pool.vectors[one] @ pool.vectors[other]) for other in chosen), default=0)
        mixed = sum(pool.mixes[other] for other in [*chosen, one]) / (len(chosen) + 1)
        divergence = sum(
            p * np.log(p / ((1 - SMOOTHING) * q + SMOOTHING * p)) for p, q in zip(pool.taste, mixed, strict=True)
        )
        worth = (1 - diversity) * relevance - diversity * likeness
        return round(worth if not calibration else (1 - calibration) * worth - calibration * divergence, 9)

    while len(chosen) < min(k, len(pool.scores)):
        chosen.append(max((n for n in range(len(pool.scores)) if n not in chosen), key=lambda n: (value(n), -n)))
    return chosen


@given(pools, st.integers(1, 9), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.4, 1.0]))
def test_the_greedy_choice_is_the_plain_one(drawn, k, diversity, calibration):
    pool = pool_of(*drawn)
    assert choose(pool, k, diversity, calibration).tolist() == plainly(pool, k, diversity, calibration)


@given(pools, st.integers(1, 9))
def test_relevance_alone_keeps_the_order_of_the_pool(drawn, k):
    pool = pool_of(*drawn)
    assert choose(pool, k, 0, 0).tolist() == list(range(min(k, len(pool.scores))))


def test_more_diversity_makes_lists_less_alike():
    pools_ = [pool_of(np.linspace(1, 0, 30), seed) for seed in range(20)]

    def alike(diversity):
        found = [pool.vectors[choose(pool, 5, diversity, 0)] for pool in pools_]
        return np.mean([(v @ v.T)[np.triu_indices(5, 1)].mean() for v in found])

    assert alike(0) > alike(0.3) > alike(0.9)


def test_a_cap_that_leaves_nothing_shortens_the_list():
    pool = pool_of([2.0, 1.0, 0.0], 1, (Cap(np.ones((3, 1)), 2),))
    assert choose(pool, 3, 0, 0).tolist() == [0, 1]


def said(user: int, kind: str, item: int = 0, detail: str | None = None) -> dict:
    return {"user_id": user_id(user), "item_id": item_id(item), "kind": kind, "detail": detail}


DOCUMENTS = [{"item_id": row["item_id"], "categories": row["categories"], "document": ""} for row in ITEMS.to_pylist()]
FEEDBACK = st.lists(
    st.one_of(
        st.builds(said, st.integers(0, 3), st.just("hide_item"), st.integers(0, N - 1)),
        st.builds(
            said, st.integers(0, 3), st.just("hide_theme"), detail=st.sampled_from(["Even", "odds", "unheard of"])
        ),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(
    lists_and_scores(),
    st.integers(1, 8),
    FEEDBACK,
    st.sampled_from([{}, {"diversity": 0.5}, {"explore": 2}, {"pin": [{"item_id": item_id(3), "place": 1}]}]),
)
def test_what_a_user_hid_never_comes_back_to_that_user_and_stays_with_the_others(drawn, k, feedback, changes):
    lists, scores = drawn
    vocabulary = Vocabulary((Label("theme", "even", ("even",)), Label("theme", "odd", ("odd",))))
    of_users = hidden(feedback, USERS, CATALOGUE.item_ids, DOCUMENTS, vocabulary)
    maker = final(of_users, **changes)
    rows = maker.pinned(recommendations(lists, scores, k, "default", maker.places), k).to_pylist()
    themes = {"Even": "even", "odds": "odd"}
    categories = dict(zip(CATALOGUE.item_ids, CATALOGUE.values("categories"), strict=True))
    for row in feedback:
        theme = themes.get(row["detail"])
        own = [one["item_id"] for one in rows if one["user_id"] == row["user_id"]]
        assert row["kind"] != "hide_item" or row["item_id"] not in own
        assert theme is None or not any(theme in categories[item] for item in own)
    who = {row["user_id"] for row in feedback}
    plain = final(**changes)
    before = plain.pinned(recommendations(lists, scores, k, "default", plain.places), k).to_pylist()
    assert [r for r in rows if r["user_id"] not in who] == [r for r in before if r["user_id"] not in who]


def test_a_hidden_theme_is_known_by_all_its_terms_in_texts_too():
    vocabulary = Vocabulary((Label("mood", "scary", ("ghost", "haunted")),))
    documents = [
        {"item_id": item_id(n), "categories": [], "document": "two ghosts" if n == 5 else "x"} for n in range(N)
    ]
    found = hidden([said(1, "hide_theme", detail="Scary")], USERS, CATALOGUE.item_ids, documents, vocabulary)
    assert found.of(1).tolist() == [5]
    assert found.of(0).tolist() == []


def test_a_theme_without_words_hides_nothing():
    assert hidden([said(1, "hide_theme", detail="?!")], USERS, CATALOGUE.item_ids, [], Vocabulary(())).is_empty


@settings(deadline=None)
@given(lists_and_scores(), st.data(), st.integers(1, 4), st.integers(0, 5))
def test_what_was_shown_in_vain_moves_down_and_all_others_keep_their_order(drawn, data, patience, per_day):
    lists, scores = drawn
    days = np.array(data.draw(st.lists(st.integers(0, 8), min_size=len(scores), max_size=len(scores))), dtype=np.int64)
    found = demoted(lists, scores, days, patience, per_day)
    moved = (per_day * np.maximum(days - patience, 0) > 0) & ~np.isnan(scores)
    assert np.array_equal(found[~moved], scores[~moved], equal_nan=True)
    before, after = (np.lexsort((-values, lists.user_of)) for values in (scores, found))
    for row in np.flatnonzero(moved):
        own = lists.user_of == lists.user_of[row]
        fixed = own & ~moved & ~np.isnan(scores)
        passed = int((scores[fixed] > scores[row]).sum()), int((found[fixed] > found[row]).sum())
        assert passed[0] <= passed[1]
    assert set(before) == set(after)


def event(user: int, item: int, kind: str, day: float) -> dict:
    at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=day)
    return {"user_id": user_id(user), "item_id": item_id(item), "kind": kind, "timestamp": at}


def test_days_are_counted_since_the_last_click():
    feedback = [
        *(event(0, 1, "impression", day) for day in (0.1, 0.2, 1.1, 2.1)),
        event(0, 1, "click", 1.5),
        *(event(0, 2, "impression", day) for day in (3.1, 4.1)),
        event(2, 2, "click", 3.1),
        event(2, 3, "impression", 0.5),
    ]
    found = shown(pa.Table.from_pylist(feedback), USERS, CATALOGUE.item_ids).toarray()
    expected = np.zeros((len(USERS), N))
    expected[0, 1], expected[0, 2], expected[2, 3] = 1, 2, 1
    assert np.array_equal(found, expected)


@settings(deadline=None)
@given(lists_and_scores(), st.integers(1, 8))
def test_within_patience_nothing_moves(drawn, k):
    three = csr_matrix(np.full((len(USERS), N), 3))
    assert np.array_equal(final(shown=three).places(*drawn, k)[0], best(*drawn, k)[0])
