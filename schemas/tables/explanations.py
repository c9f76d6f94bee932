"""Table `explanations`."""

import pyarrow as pa

from schemas.table import Column, Expect, Table, one_of

STATEMENT = pa.struct(
    [
        ("kind", pa.string()),
        ("text", pa.string()),
        ("item_ids", pa.list_(pa.string())),
        ("weight", pa.float64()),
    ]
)
"""Something true of the recommendation, the history items that carry it, and how much it tells, 1 for the first.

The first is `chosen`, `popular`, `new` or `whole`: what put the item on the list. Others are `shared` (with the cited
items), `taste` (with the user's profile) and `praise` (by reviews).
"""

EXPLANATIONS = Table(
    name="explanations",
    description="Why each recommendation, from evidence",
    columns=(
        Column("user_id", pa.string(), "User, as named by the source", pii=True),
        Column("rank", pa.int32(), "Rank of the recommendation"),
        Column("item_id", pa.string(), "Item, as named by the source"),
        Column("arm", pa.string(), "Experiment arm, as in `recommendations`"),
        Column("text", pa.string(), "One to three sentences", pii=True),
        Column(
            "statements",
            pa.list_(STATEMENT),
            "What the text may say, the most telling first: kind, sentence, history items, weight",
            pii=True,
        ),
        Column(
            "evidence",
            pa.list_(pa.struct([("item_id", pa.string()), ("contribution", pa.float64())])),
            "History items that caused it, strongest first; empty where popularity did",
            pii=True,
        ),
        Column(
            "cited_sources",
            pa.list_(pa.string()),
            "Candidate sources that the statements speak for, what is said to have put it there first; the last of "
            "them gave the contributions. A phrased text keeps to them on later nights while the first is among the "
            "strongest three",
            nullable=True,
        ),
        Column("source", pa.string(), "llm, or template where the model was not asked or its output was not accepted"),
        Column(
            "reason",
            pa.string(),
            "Why the template: style (of the configuration or the arm), later_place, over_budget, rejected, "
            "too_little_evidence, unserved; null for llm",
            nullable=True,
        ),
        Column(
            "generation_key",
            pa.string(),
            "SHA-256 of evidence, model, prompt and decoding; equal evidence has one text; null when not asked",
            nullable=True,
        ),
        Column("model", pa.string(), "Generator name; null for a template", nullable=True),
        Column("model_revision", pa.string(), "SHA-256 of the weights; null for a template", nullable=True),
        Column("prompt_version", pa.string(), "Version of the prompt; null when not asked", nullable=True),
        Column("generated_on", pa.date32(), "Night that asked the model; null when none has", nullable=True),
        Column("prompt_tokens", pa.int64(), "Tokens read for this text, once for all rows that have it"),
        Column("output_tokens", pa.int64(), "Tokens written for this text, once for all rows that have it"),
    ),
    key=(
        "user_id",
        "rank",
    ),
    expectations=(
        one_of("source", "llm", "template"),
        one_of("reason", "style", "later_place", "over_budget", "rejected", "too_little_evidence", "unserved"),
        Expect("ExpectColumnValueLengthsToBeBetween", column="text", min_value=1, max_value=2_000),
    ),
)
