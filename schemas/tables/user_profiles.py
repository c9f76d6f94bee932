"""Table `user_profiles`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table, between
from schemas.tables.generation import ORIGIN, PROFILE_EXPECTATIONS, evidence_column, sentence

CLAIM = pa.struct([("label", pa.string()), ("strength", pa.float64()), ("interactions", pa.list_(pa.string()))])
"""A theme, the share of the liked (or disliked) items that carry it, and the item_ids of interactions that show it."""

USER_PROFILES = Table(
    name="user_profiles",
    description="What a user likes, one row per user",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("as_of", TIMESTAMP, "Built only from events before this instant"),
        Column("long_term", pa.string(), "One sentence about the lasting taste: the whole history", pii=True),
        Column("recent_interest", pa.string(), "One sentence about the most recent interactions", pii=True),
        Column("likes", pa.list_(CLAIM), "Themes the user likes, strength in (0, 1], with supporting items", pii=True),
        Column("dislikes", pa.list_(CLAIM), "Themes of items the user rated low or disliked", pii=True),
        Column("avoided", pa.list_(pa.string()), "Themes chosen significantly less often than usual", pii=True),
        Column("confidence", pa.float64(), "n / (n + 10) for n liked and disliked items, in [0, 1)"),
        evidence_column(pii=True),
        *ORIGIN,
    ),
    key=("user_id",),
    expectations=(
        *PROFILE_EXPECTATIONS,
        sentence("long_term"),
        sentence("recent_interest"),
        between("confidence", 0, 1),
    ),
)
