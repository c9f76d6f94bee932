"""Whatever the rows are: rows in = rows out + rows quarantined, and what is taken in is well formed."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.quarantine import REASONS

pytestmark = pytest.mark.spark

FIELD = st.text(st.sampled_from("ui129 ,\t\"'\\;|-:TZé\ufffd\u2028{}<&"), max_size=8)
MOMENT = st.sampled_from(["2026-11-01T10:00:00Z", "2026-11-21", "2026-11-22T00:00:00Z", "1066-01-01", "1e400", "+"])
ROW = st.tuples(
    st.sampled_from(["u1", "u2", ""]) | FIELD,
    st.sampled_from(["i1", "i2", "i9"]) | FIELD,
    MOMENT | FIELD,
    st.sampled_from(["1", "5", "6", "", "inf", "1e999"]) | FIELD,
)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=st.lists(ROW, min_size=30, max_size=80))
def test_no_row_is_lost_whatever_it_holds(shop, good_events, rows):
    shop.events([*good_events, *(",".join(row) for row in rows)])
    counters = shop.ingest()
    out, dropped = len(shop.table("interactions")), shop.reasons()
    assert counters["rows_in"]["interactions"] == out + sum(dropped.values())
    assert set(dropped) <= set(REASONS)
    for row in shop.table("interactions"):
        assert row["user_id"].strip()
        assert row["item_id"] in {"i1", "i2", "i3", "i4"}
        assert row["rating"] is None or 1 <= row["rating"] <= 5
