"""Table `quarantine`."""

import pyarrow as pa

from schemas.table import Column, Table, between, one_of

QUARANTINE = Table(
    name="quarantine",
    description="Source rows that were not taken in, each with a reason",
    columns=(
        Column("entry", pa.int64(), "Number of the entry within the night, from 0"),
        Column("entity", pa.string(), "interactions, items, users, feedback or requests"),
        Column("reason", pa.string(), "Why it was dropped, one term"),
        Column(
            "rows",
            pa.int64(),
            "Source rows it stands for; above 1 only for rows at or after as_of, whose content stays unseen",
        ),
        Column("row", pa.string(), "The source row as JSON, cut at 2,000 characters", nullable=True, pii=True),
    ),
    key=("entry",),
    may_be_empty=True,
    expectations=(
        one_of("entity", "interactions", "items", "users", "feedback", "requests"),
        between("rows", 1),
    ),
)
