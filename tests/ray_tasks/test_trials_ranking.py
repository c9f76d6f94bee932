"""Ranking by texts, held against cases worked out by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ray_tasks.evidence.users import UserFacts
from ray_tasks.trials.ranking import gain, item_gains, liked_in, rank_of, user_gains
from ray_tasks.trials.sample import facts_before, first_held_out, hold_out, shuffled

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def history(user: str, *entries) -> dict:
    """Entries are (item, days ago, rating), most recent first."""
    items = [{"item_id": i, "timestamp": NOW - timedelta(days=d), "rating": r, "weight": 1.0} for i, d, r in entries]
    return {"user_id": user, "as_of": NOW, "items": items, "n_items": len(items), "n_interactions": len(items)}


def test_gain_of_a_rank():
    assert gain(1) == 1.0
    assert gain(3) == pytest.approx(0.5)
    assert gain(10) == pytest.approx(1 / np.log2(11))
    assert gain(11) == 0.0


def test_ties_rank_by_place():
    scores = np.array([0.5, 0.9, 0.5, 0.1])
    assert [rank_of(place, scores, [0, 1, 2, 3]) for place in range(4)] == [2, 1, 3, 4]
    assert rank_of(2, scores, [2, 3]) == 1


def test_items_are_ranked_by_cosine_to_the_mean_of_those_liked_before():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.8, 0.6]])
    # Target 3 after liking 0: place 0 is out, scores of 1, 2, 3 are 0, .6, .8: rank 1.
    # Target 1 after liking 0: rank 3 of 3. Target 2 after 0 and 1: (0.5, 0.5), both 2 and 3 score .7: the tie is 2's.
    assert item_gains(vectors, [[3, 0], [1, 0], [2, 0, 1]]) == pytest.approx([1.0, 0.5, 1.0])


def test_documents_of_the_history_are_not_ranked():
    documents = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    users = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert user_gains(users, documents, [2, 2], [frozenset(), frozenset({0})]) == pytest.approx([1 / np.log2(3), 1.0])


def test_only_liked_items_of_the_sample_count_each_once():
    places = {"a": 0, "b": 1, "c": 2}
    rows = [
        history("u", ("a", 1, 5.0), ("x", 2, 5.0), ("b", 3, 4.0), ("a", 4, 5.0), ("c", 5, 1.0)),
        history("one", ("a", 1, 5.0), ("x", 2, 5.0)),
    ]
    assert liked_in(rows, places, 10) == [[0, 1]]
    assert liked_in(rows, places, 0) == []


def test_what_came_with_the_target_or_later_is_dropped_and_so_are_other_visits_to_it():
    held = hold_out(
        history(
            "u",
            ("bad", 1, 1.0),
            ("target", 2, 5.0),
            ("same moment", 2, 5.0),
            ("a", 3, 5.0),
            ("target", 4, 4.0),
            *((f"i{n}", 5 + n, 4.0) for n in range(5)),
        )
    )
    assert held.target == "target"
    assert [entry["item_id"] for entry in held.history["items"]] == ["a", "i0", "i1", "i2", "i3", "i4"]
    assert held.history["n_interactions"] == 6


def test_nothing_is_kept_back_of_a_short_history_or_one_without_likes():
    assert hold_out(history("u", *((f"i{n}", n, None) for n in range(5)))) is None
    assert hold_out(history("u")) is None


def test_facts_about_later_items_and_undated_wishes_are_left_out():
    held = hold_out(history("u", ("target", 1, None), *((f"i{n}", 2 + n, None) for n in range(5))))
    facts = UserFacts(
        {"i1": "fine", "target": "superb"}, ("more like the target",), {"target": "like", "i0": "dislike"}
    )
    assert facts_before(held, facts) == UserFacts({"i1": "fine"}, (), {"i0": "dislike"})
    assert facts_before(held, None) == UserFacts()


def test_the_sample_depends_on_seed_and_ids_alone():
    ids = [f"i{n}" for n in range(50)]
    assert shuffled(ids, 1) == shuffled(reversed(ids), 1)
    assert shuffled(ids, 1) != shuffled(ids, 2)
    assert sorted(shuffled(ids, 1)) == sorted(ids)
    without = [one for one in shuffled(ids, 1) if one != "i7"]
    assert shuffled([one for one in ids if one != "i7"], 1) == without


def test_users_whose_target_is_not_in_the_catalogue_are_passed_over():
    tail = [(f"i{n}", 2 + n, None) for n in range(5)]
    rows = [history(f"u{n}", ("known" if n % 2 else "gone", 1, None), *tail) for n in range(10)]
    found = first_held_out(rows, frozenset({"known"}), 3, 4)
    assert len(found) == 4
    assert {one.target for one in found} == {"known"}
    order = shuffled([row["user_id"] for row in rows], 3)
    assert [one.user_id for one in found] == [user for user in order if int(user[1:]) % 2][:4]
