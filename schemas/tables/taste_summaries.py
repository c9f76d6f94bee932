"""Table `taste_summaries`."""

import pyarrow as pa

from schemas.table import Column, Expect, Table, one_of

SAID = pa.struct([("kind", pa.string()), ("text", pa.string()), ("item_ids", pa.list_(pa.string()))])
"""A sentence of the paragraph: long_term, recent, like, dislike or avoided; and the history items that show it."""

TASTE_SUMMARIES = Table(
    name="taste_summaries",
    description="What each user's profile says, as a paragraph for the user to read",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("text", pa.string(), "The paragraph", pii=True),
        Column("statements", pa.list_(SAID), "Its sentences, each with the history items that it rests on", pii=True),
        Column("source", pa.string(), "Who wrote the profile: llm or template"),
    ),
    key=("user_id",),
    may_be_empty=True,
    expectations=(
        one_of("source", "llm", "template"),
        Expect("ExpectColumnValueLengthsToBeBetween", column="text", min_value=1, max_value=2_000),
    ),
)
