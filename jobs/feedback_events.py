"""Feedback that says as much as an interaction: what was clicked on, bought or liked in a published list was taken."""

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

PAIR_AND_DAY = ("user_id", "item_id", "day")


def with_feedback(interactions: DataFrame, feedback: DataFrame, weights: Mapping[str, float]) -> DataFrame:
    """Interactions (user_id, item_id, timestamp, rating, weight) and the feedback of these kinds, one a day and pair.

    The strongest kind of a day counts, at its first time. What the log of interactions tells of the same user, item and
    day is not told twice: many sources log a click in both places.
    """
    if not weights:
        return interactions
    by_kind = F.create_map(*[F.lit(part) for kind, weight in sorted(weights.items()) for part in (kind, float(weight))])
    taken = feedback.where(F.col("kind").isin(*weights)).withColumn("day", F.to_date("timestamp"))
    daily = taken.groupBy(*PAIR_AND_DAY).agg(
        F.min("timestamp").alias("timestamp"), F.max(F.element_at(by_kind, F.col("kind"))).alias("weight")
    )
    known = interactions.select("user_id", "item_id", F.to_date("timestamp").alias("day")).distinct()
    new = daily.join(known, list(PAIR_AND_DAY), "left_anti").withColumn("rating", F.lit(None).cast("double"))
    return interactions.unionByName(new.select(*interactions.columns))
