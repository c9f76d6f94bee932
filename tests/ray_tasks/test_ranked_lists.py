"""Published lists: taken from the candidates, cut and ordered totally, with the sources that proposed each item."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lists import candidate, lists_and_scores, lists_of
from small_log import item_id

from ray_tasks.ranker.features import Lists
from ray_tasks.ranker.ranked_lists import offline_rankings, positions, recommendations, source_scores
from schemas.candidates_config import SOURCES
from schemas.tables.offline_rankings import OFFLINE_RANKINGS
from schemas.tables.recommendations import RECOMMENDATIONS

CATALOGUE = np.array([item_id(n) for n in range(12)], dtype=object)


def expected_lists(lists, scores, k):
    """Per user in order of id the best items, in plain Python."""
    rows = zip(lists.table["user_id"].to_pylist(), lists.table["item_id"].to_pylist(), scores, strict=True)
    found = {user: [] for user in sorted(set(lists.table["user_id"].to_pylist()))}
    for user, item, score in rows:
        if not np.isnan(score):
            found[user].append((-score, item))
    return {user: [(item, -score) for score, item in sorted(own)[:k]] for user, own in found.items()}


@settings(deadline=None)
@given(lists_and_scores(), st.integers(1, 10))
def test_recommendations_are_the_best_candidates_by_score_then_item_id(drawn, k):
    lists, scores = drawn
    table = recommendations(lists, scores, k, "blue")
    assert table.schema.equals(RECOMMENDATIONS.schema)
    found = {user: [] for user in lists.user_ids}
    for row in table.to_pylist():
        found[row["user_id"]].append((row["item_id"], row["score"]))
        assert row["rank"] == len(found[row["user_id"]])
        assert row["arm"] == "blue"
    assert found == expected_lists(lists, scores, k)
    assert all(len(own) == len({item for item, _ in own}) <= k for own in found.values())


@settings(deadline=None)
@given(lists_and_scores())
def test_each_recommendation_names_the_sources_that_proposed_it_best_rank_first(drawn):
    lists, scores = drawn
    candidates = {(row["user_id"], row["item_id"]): row for row in lists.table.to_pylist()}
    for row in recommendations(lists, scores, 9, "default").to_pylist():
        proposed = candidates[row["user_id"], row["item_id"]]
        ranks = {source: proposed[f"{source}_rank"] for source in SOURCES if proposed[f"{source}_rank"]}
        assert row["sources"] == sorted(ranks, key=lambda source: (ranks[source], SOURCES.index(source)))
        assert row["sources"]


@settings(deadline=None)
@given(lists_and_scores(least_users=1), st.integers(1, 10))
def test_positions_are_the_same_lists_for_the_metrics(drawn, k):
    lists, scores = drawn
    found = positions(lists, scores, k, CATALOGUE)
    expected = expected_lists(lists, scores, k)
    assert found.shape == (len(expected), k)
    for row, own in zip(found, expected.values(), strict=True):
        assert [CATALOGUE[place] for place in row if place >= 0] == [item for item, _ in own]
        assert (row[len(own) :] == -1).all()


@settings(deadline=None)
@given(lists_and_scores(), st.sampled_from(SOURCES))
def test_a_source_ranks_its_own_proposals_and_popularity_stands_in_where_it_has_none(drawn, source):
    lists, _ = drawn
    rows = lists.table.to_pylist()
    found = recommendations(lists, source_scores(lists, source), 20, "default").to_pylist()
    for user in lists.user_ids:
        own = [row for row in rows if row["user_id"] == user]
        by = source if any(row[f"{source}_rank"] for row in own) else "popularity"
        ranked = sorted((row[f"{by}_rank"], row["item_id"]) for row in own if row[f"{by}_rank"])
        assert [row["item_id"] for row in found if row["user_id"] == user] == [item for _, item in ranked]


@settings(deadline=None)
@given(lists_and_scores(), st.integers(1, 10))
def test_offline_rankings_hold_every_models_lists(drawn, k):
    lists, scores = drawn
    models = {"ranker": scores, "ease": source_scores(lists, "ease")}
    table = offline_rankings(lists, models, k)
    assert table.schema.equals(OFFLINE_RANKINGS.schema)
    for model, values in models.items():
        own = [row for row in table.to_pylist() if row["model"] == model]
        expected = expected_lists(lists, values, k)
        flat = [(user, n, item) for user, own_list in expected.items() for n, (item, _) in enumerate(own_list, 1)]
        assert [(row["user_id"], row["rank"], row["item_id"]) for row in own] == flat
    assert table.num_rows == sum(row["model"] in models for row in table.to_pylist())


def test_equal_scores_are_ordered_by_item_id_and_a_nan_is_left_out():
    lists = lists_of([candidate(0, item, {"ease": item + 1}) for item in (3, 1, 2, 0)])
    table = recommendations(lists, np.array([1.0, 2.0, np.nan, 2.0]), 5, "default")
    assert table["item_id"].to_pylist() == ["i01", "i03", "i00"]


def test_no_lists_are_no_rows():
    assert recommendations(Lists.none(), np.zeros(0), 5, "default").num_rows == 0
    assert offline_rankings(Lists.none(), {"ranker": np.zeros(0)}, 5).num_rows == 0
    assert isinstance(Lists.none().table, pa.Table)
