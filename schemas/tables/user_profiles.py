"""Table `user_profiles`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table
from schemas.tables.generation import ORIGIN, PROFILE_EXPECTATIONS

USER_PROFILES = Table(
    name="user_profiles",
    description="What a user likes, one row per user",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("as_of", TIMESTAMP, "Built only from events before this instant"),
        Column("summary", pa.string(), "One sentence about the user's taste", pii=True),
        Column("likes", pa.list_(pa.string()), "Up to 5 things the user likes", pii=True),
        Column("evidence", pa.list_(pa.string()), "item_ids the profile was written from, most recent first", pii=True),
        *ORIGIN,
    ),
    key=("user_id",),
    expectations=PROFILE_EXPECTATIONS,
)
