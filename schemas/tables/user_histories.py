"""Table `user_histories`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table, between

USER_HISTORIES = Table(
    name="user_histories",
    description="What each user did before as_of, most recent first",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("as_of", TIMESTAMP, "Every event in the row is before this instant"),
        Column(
            "items",
            pa.list_(
                pa.struct(
                    [
                        ("item_id", pa.string()),
                        ("timestamp", TIMESTAMP),
                        ("rating", pa.float64()),
                        ("weight", pa.float64()),
                    ]
                )
            ),
            "Most recent first, ties by item_id, one entry per item, capped at features.history_length",
            pii=True,
        ),
        Column("n_items", pa.int64(), "Distinct items before the cap"),
        Column("n_interactions", pa.int64(), "Interactions before the cap"),
        Column("first_timestamp", TIMESTAMP, "First interaction"),
        Column("last_timestamp", TIMESTAMP, "Last interaction"),
    ),
    key=("user_id",),
    expectations=(between("n_items", 1),),
)
