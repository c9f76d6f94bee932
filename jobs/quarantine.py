"""Why a source row is not taken in: one reason per row, the first that applies."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.frames import numbered

LATE = "at_or_after_as_of"

REASONS = {
    LATE: "its instant is not before the night; only counted, its content is neither read nor kept",
    "malformed": "a csv row with too few or too many fields, or a line that is not JSON",
    "null_user_id": "no user id",
    "null_item_id": "no item id",
    "null_kind": "feedback without a kind",
    "null_text": "a request without words",
    "null_title": "an item without a title",
    "invalid_encoding": "an id or title has bytes that are not of the source's encoding (U+FFFD after decoding)",
    "unparsable_timestamp": "not an instant in the configured unit, or one before 1900",
    "unparsable_rating": "a rating that is not a number",
    "unparsable_weight": "a weight that is not a number",
    "unparsable_value": "a feedback value that is not a number",
    "rating_out_of_range": "a rating outside the configured min and max",
    "weight_out_of_range": "a weight outside the configured min and max, or below 0",
    "value_out_of_range": "a feedback value outside the configured min and max",
    "unparsable_rank": "a place of a list that is not a number",
    "rank_out_of_range": "a place of a list outside the configured min and max, or below 1",
    "unknown_kind": "a kind of feedback that is neither one of ours nor among `kinds`",
    "unknown_item": "the item is not in the catalogue (or its catalogue row was itself quarantined)",
    "duplicate": "another row has the same key; the one with the highest weight, then rating, was kept",
}
"""Every reason, in the order in which they are tried, and what it means."""

ROW_CHARACTERS = 2_000


def first_reason(fails: Sequence[tuple[str, Column]]) -> Column:
    """The first reason in the order of REASONS whose condition holds (null conditions do not); null if none."""
    order = list(REASONS)
    ranked = sorted(fails, key=lambda check: order.index(check[0]))
    return F.coalesce(*[F.when(condition, F.lit(reason)) for reason, condition in ranked])


def quarantine_rows(judged: dict[str, DataFrame]) -> DataFrame:
    """Table `quarantine` from every entity's judged rows (columns `_reason` and `_source`).

    Entries are numbered in the order of entity, reason and row. Late rows become one entry per entity.
    """
    parts = [_entries(entity, frame) for entity, frame in sorted(judged.items())]
    entries = parts[0]
    for part in parts[1:]:
        entries = entries.unionByName(part)
    return numbered(entries, [F.col("entity"), F.col("reason"), F.col("row")], "entry")


def _entries(entity: str, judged: DataFrame) -> DataFrame:
    is_late = F.col("_reason") == LATE
    row = F.substring(F.to_json("_source"), 1, ROW_CHARACTERS)
    rejected = judged.where(F.col("_reason").isNotNull() & ~is_late)
    single = rejected.select("_reason", F.lit(1).cast("bigint").alias("rows"), row.alias("row"))
    late = (
        judged.where(is_late)
        .groupBy("_reason")
        .agg(F.count("*").alias("rows"), F.lit(None).cast("string").alias("row"))
    )
    return single.unionByName(late).select(
        F.lit(entity).alias("entity"), F.col("_reason").alias("reason"), "rows", "row"
    )
