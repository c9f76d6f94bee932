"""Feedback that says as much as an interaction: what was clicked on, bought or liked in a published list was taken."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

PAIR_AND_DAY = ("user_id", "item_id", "day")


def with_feedback(
    interactions: DataFrame,
    feedback: DataFrame,
    weights: Mapping[str, float],
    looked_at: Mapping[int, float] | None = None,
) -> DataFrame:
    """Interactions (user_id, item_id, timestamp, rating, weight) and the feedback of these kinds, one a day and pair.

    The strongest kind of a day counts, at its first time. `looked_at` tells by place of the list how likely it is
    looked at: what was taken at a place that is looked at half as often weighs twice as much, since as much again was
    not seen (inverse propensity; Joachims et al. 2017). What the log of interactions tells of the same user, item and
    day is not told twice: many sources log a click in both places.
    """
    if not weights:
        return interactions
    by_kind = _map(weights)
    share = F.coalesce(F.element_at(_map(looked_at), F.col("rank")), F.lit(1.0)) if looked_at else F.lit(1.0)
    taken = feedback.where(F.col("kind").isin(*weights)).withColumn("day", F.to_date("timestamp"))
    daily = taken.groupBy(*PAIR_AND_DAY).agg(
        F.min("timestamp").alias("timestamp"), F.max(F.element_at(by_kind, F.col("kind")) / share).alias("weight")
    )
    known = interactions.select("user_id", "item_id", F.to_date("timestamp").alias("day")).distinct()
    new = daily.join(known, list(PAIR_AND_DAY), "left_anti").withColumn("rating", F.lit(None).cast("double"))
    return interactions.unionByName(new.select(*interactions.columns))


def _map(values: Mapping[str, float] | Mapping[int, float]) -> Column:
    return F.create_map(*[F.lit(part) for key, value in sorted(values.items()) for part in (key, float(value))])
