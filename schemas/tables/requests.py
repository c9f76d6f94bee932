"""Table `requests`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Table

REQUESTS = Table(
    name="requests",
    description="What users asked for in their own words before as_of",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("timestamp", TIMESTAMP, "When it was asked, UTC"),
        Column("text", pa.string(), "The request", pii=True),
    ),
    key=(
        "user_id",
        "timestamp",
        "text",
    ),
    may_be_empty=True,
)
