"""The ranker's features against each row and its user's list, in plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from small_lists import candidate, lists_and_scores, lists_of

from ray_tasks.ranker.features import NAMES, Lists, features
from schemas.candidates_config import SOURCES


@settings(deadline=None)
@given(lists_and_scores())
def test_features_are_those_of_each_row_and_of_its_place_in_the_users_list(drawn):
    lists, _ = drawn
    rows, values = lists.table.to_pylist(), features(lists)
    assert values.shape == (len(rows), len(NAMES))
    for row, found in zip(rows, values, strict=True):
        at = dict(zip(NAMES, found.tolist(), strict=True))
        ranks = [row[f"{source}_rank"] for source in SOURCES]
        assert at["fusion"] == pytest.approx(sum(1 / (60 + rank) for rank in ranks if rank), rel=1e-5)
        assert at["proposing_sources"] == sum(rank is not None for rank in ranks)
        assert at["trend"] == row["item_week_count"] / (row["item_recent_count"] + 1)
        for source in SOURCES:
            own = [r[f"{source}_score"] for r in rows if r["user_id"] == row["user_id"]]
            own = [score for score in own if score is not None]
            score = row[f"{source}_score"]
            expected = np.nan if score is None else score / max(own)
            assert at[f"{source}_share_of_best"] == pytest.approx(expected, rel=1e-5, nan_ok=True)
            off = np.nan if score is None else (score - np.mean(own)) / (np.std(own) + 1e-9)
            assert at[f"{source}_deviation"] == pytest.approx(off, abs=1e-4, nan_ok=True)
            assert at[f"{source}_reciprocal_rank"] == pytest.approx(1 / (10 + (row[f"{source}_rank"] or 1_000)))


def test_lists_are_sorted_whatever_the_order_of_rows():
    lists = lists_of([candidate(u, i, {"ease": 1}) for u, i in ((1, 3), (0, 5), (1, 0))])
    assert lists.table["item_id"].to_pylist() == ["i05", "i00", "i03"]
    assert (lists.user_ids.tolist(), lists.lengths.tolist()) == (["u00", "u01"], [1, 2])
    assert features(Lists.none()).shape == (0, len(NAMES))
