"""What put an item on a list: leaving a source out is as if it had not been there, and who knows the target is why."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lists import lists_and_scores, shop
from small_log import item_id

from ray_tasks.ranker.attribution import attributions, without
from ray_tasks.ranker.features import FUSION_DEPTH, NAMES, Lists, features
from ray_tasks.ranker.gate import Decision, ServingModel, fit
from ray_tasks.ranker.ranked_lists import by_rank, recommendations
from ray_tasks.ranker.trees import Ranker
from schemas.candidates_config import SOURCES
from schemas.ranking_config import Ranking

PLAIN = ServingModel(Ranker(), Decision("ranker", 0, {}, ""))


def nulled(lists: Lists, source: str) -> Lists:
    table = lists.table
    for kind in ("score", "rank"):
        at = table.schema.get_field_index(f"{source}_{kind}")
        table = table.set_column(at, table.schema.field(at), pa.nulls(len(table), table.schema.field(at).type))
    return Lists.of(table)


@settings(deadline=None)
@given(lists_and_scores(least_users=1), st.sampled_from(SOURCES))
def test_features_without_a_source_are_those_of_lists_that_it_is_absent_from(drawn, source):
    lists, _ = drawn
    part = np.nan_to_num(1 / (FUSION_DEPTH + lists.column(f"{source}_rank")))
    whole = features(lists)
    whole[:, NAMES.index("proposing_sources")] += np.isnan(lists.column(f"{source}_rank"))  # one that is not there
    assert np.allclose(without(whole, NAMES, source, part), features(nulled(lists, source)), equal_nan=True, atol=1e-6)


@settings(deadline=None)
@given(lists_and_scores())
def test_without_trees_the_best_rank_is_why(drawn):
    lists, scores = drawn
    told = recommendations(lists, scores, 9, "default", strengths=lambda own, rows: attributions(PLAIN, own, rows))
    assert told.equals(recommendations(lists, scores, 9, "default", strengths=by_rank))


def test_the_source_that_knows_what_users_take_is_why_although_all_propose_it():
    lists, targets = shop(60, lambda source: 1 if source == "text" else None)
    catalogue = np.array([item_id(n) for n in range(10)], dtype=object)
    model = fit(lists, targets, catalogue, Ranking(trees=25, leaves=4, learning_rate=0.2), 1).model
    assert model.decision.trees
    rows = np.flatnonzero(lists.column("label") > 0)
    found = attributions(model, lists, rows)
    assert not np.isnan(found).any()
    assert (found.argmax(axis=1) == SOURCES.index("text")).mean() > 0.9
