"""Table `item_factors`: item factors by Spark's ALS for catalogues that the dense candidate sources do not cover.

It is part of the task `features`, whose session it uses: a night without need of it pays for one count.
"""

import logging
from functools import reduce

from pyspark import StorageLevel
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.frames import numbered
from schemas.candidates_config import Candidates

log = logging.getLogger("nightrec.features")

WINDOWS = {
    "validation": ("train",),
    "test": ("train", "validation"),
    "serving": ("train", "validation", "test"),
}
"""The splits that each window knows."""
SWEEPS = 10
SHRINKAGE = 0.3
"""Regularisation as a share of the strength at which all factors vanish. Spark scales it by a row's events, so that
this strength is 1 + alpha whatever the data: the largest singular value of the normalised interactions is 1."""
BLOCKS = 10
"""Of users and of items. Fixed, since sums hang on it. Ten, since Spark's treeAggregate then ends in two parts, and two
numbers add up to the same in either order: with 3, 4, 5 or 9 blocks the first to finish would decide the last bits."""


def needs_factors(items_taken: int, settings: Candidates) -> bool:
    """The rule: factors are fitted when anybody took more items than the dense sources cover.

    EASE and its kin hold items x items numbers: beyond their core they say nothing of an item. Factors take items x
    dimensions, so they reach all of it. Up to the limit nothing is left to reach, and a fit would only take time.
    """
    return items_taken > settings.max_core_items


def state_the_rule(items_taken: int, settings: Candidates) -> dict[str, int | bool]:
    """Say in the log what the rule decides; returns it for the task's record."""
    fitted = needs_factors(items_taken, settings)
    limit, counted = f"max_core_items {settings.max_core_items:,}", f"catalogue of {items_taken:,} items"
    if fitted:
        log.warning("%s exceeds %s: ials by Spark ALS joins the sources", counted, limit)
    else:
        log.info("%s is within %s: no factors are fitted", counted, limit)
    return {"items_taken": items_taken, "max_core_items": settings.max_core_items, "factors_fitted": fitted}


def item_factors(splits: DataFrame, settings: Candidates, seed: int) -> DataFrame:
    """Table `item_factors` from rows of `splits`: one fit for each window, on what the window knows."""
    windows = []
    for name, known in WINDOWS.items():
        factors = fit(splits.where(F.col("split").isin(*known)), settings, seed)
        windows.append(factors.select(F.lit(name).alias("window"), "item_id", "factors"))
    return reduce(DataFrame.unionByName, windows)


def fit(events: DataFrame, settings: Candidates, seed: int) -> DataFrame:
    """Columns item_id and factors: implicit ALS (Hu et al. 2008) on who took what, each pair once.

    Users and items are numbered in the order of their ids, from these events alone: what others did later changes
    neither blocks nor the random start. `alpha` is Spark's word for the weight of an event where the unobserved has 1.
    """
    pairs = events.select("user_id", "item_id").distinct().persist(StorageLevel.MEMORY_AND_DISK)
    users, items = (_numbered_ids(pairs, f"{name}_id", name) for name in ("user", "item"))
    ratings = pairs.join(users, "user_id").join(items, "item_id").withColumn("rating", F.lit(1.0).cast("float"))
    ratings = ratings.select("user", "item", "rating").repartition(BLOCKS, "user").sortWithinPartitions("user", "item")
    alpha = 1 / sorted(settings.ials_unobserved)[len(settings.ials_unobserved) // 2]
    model = ALS(
        rank=settings.ials_dimensions,
        maxIter=SWEEPS,
        implicitPrefs=True,
        alpha=alpha,
        regParam=SHRINKAGE * (1 + alpha),
        numUserBlocks=BLOCKS,
        numItemBlocks=BLOCKS,
        seed=seed,
    ).fit(ratings)
    named = model.itemFactors.join(items, F.col("id") == F.col("item"))
    return named.select("item_id", F.col("features").alias("factors"))


def _numbered_ids(pairs: DataFrame, column: str, name: str) -> DataFrame:
    ids = numbered(pairs.select(column).distinct(), [F.col(column)], name)
    return ids.withColumn(name, F.col(name).cast("int"))
