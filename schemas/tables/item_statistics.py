"""Table `item_statistics`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table, between

ITEM_STATISTICS = Table(
    name="item_statistics",
    description="Counts and trends per catalogue item at as_of",
    columns=(
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("as_of", TIMESTAMP, "Every counted event is before this instant"),
        Column("n_interactions", pa.int64(), "All time"),
        Column("n_users", pa.int64(), "Distinct users, all time"),
        Column("n_last_7_days", pa.int64(), "In the 7 days before as_of"),
        Column("n_last_30_days", pa.int64(), "In the 30 days before as_of"),
        Column(
            "trend",
            pa.float64(),
            "Daily rate of the last 7 days over that of the last 30, smoothed by one event each; 1 is steady",
        ),
        Column("mean_rating", pa.float64(), "Mean rating, where there are ratings", nullable=True),
        Column("first_timestamp", TIMESTAMP, "First interaction", nullable=True),
        Column("last_timestamp", TIMESTAMP, "Last interaction", nullable=True),
    ),
    key=("item_id",),
    expectations=(between("trend", 0),),
)
