"""Table `parsed_requests`."""

import pyarrow as pa

from schemas.table import TIMESTAMP, Column, Expect, Table, between, one_of

PARSED_REQUESTS = Table(
    name="parsed_requests",
    description="What each request asks for, as it was understood, or why no list answers it",
    columns=(
        Column("request_id", pa.string(), "SHA-256 of user, time and text, its first 32 digits"),
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("timestamp", TIMESTAMP, "When it was asked, UTC"),
        Column("include", pa.list_(pa.string()), "Labels of the vocabulary that it asks for"),
        Column("exclude", pa.list_(pa.string()), "Labels that it refuses"),
        Column("like", pa.list_(pa.string()), "Items that it wants something like"),
        Column("unlike", pa.list_(pa.string()), "Items that it wants nothing like"),
        Column("first_year", pa.int32(), "Earliest year, included", nullable=True),
        Column("last_year", pa.int32(), "Latest year, included", nullable=True),
        Column("unsupported", pa.list_(pa.string()), "Moods that it speaks of, but no label of this catalogue"),
        Column(
            "outside",
            pa.string(),
            "Why no list answers it: empty, hostile, language, unclear, off_topic",
            nullable=True,
        ),
        Column("vector", pa.list_(pa.float32()), "Unit vector of its words", pii=True),
    ),
    key=("request_id",),
    may_be_empty=True,
    expectations=(
        Expect("ExpectColumnValuesToMatchRegex", column="request_id", regex="^[0-9a-f]{32}$"),
        one_of("outside", "empty", "hostile", "language", "unclear", "off_topic"),
        between("first_year", 1_000, 2_200),
        between("last_year", 1_000, 2_200),
    ),
)
