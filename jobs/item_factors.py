"""Table `item_factors`: item factors by Spark's ALS for catalogues that the dense candidate sources do not cover.

It is part of the task `histories`, whose session it uses: a night without need of it pays for one count.
"""

import logging
from functools import reduce

from pyspark import StorageLevel
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.frames import numbered
from schemas.config import Candidates

log = logging.getLogger("nightrec.histories")

WINDOWS = {
    "validation": ("train",),
    "test": ("train", "validation"),
    "serving": ("train", "validation", "test"),
}
"""The splits that each window knows."""
SWEEPS = 10
KEPT = 0.3
BLOCKS = 10
"""Of users and of items. Fixed, since sums hang on it; with ten, Spark adds in an order that a rerun repeats."""


def needs_factors(items_taken: int, settings: Candidates) -> bool:
    """The rule: factors are fitted when anybody took more items than the dense sources cover.

    EASE and its kin hold items x items numbers: beyond their core they say nothing of an item. Factors take items x
    dimensions, so they reach all of it. Below the limit EASE ranks better, and nothing is left for factors to reach.
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
    neither blocks nor the random start.
    """
    pairs = events.select("user_id", "item_id").distinct().persist(StorageLevel.MEMORY_AND_DISK)
    users, items = (_numbered_ids(pairs, f"{name}_id", name) for name in ("user", "item"))
    ratings = pairs.join(users, "user_id").join(items, "item_id").withColumn("rating", F.lit(1.0).cast("float"))
    ratings = ratings.select("user", "item", "rating").repartition(BLOCKS, "user").sortWithinPartitions("user", "item")
    unobserved = sorted(settings.ials_unobserved)[len(settings.ials_unobserved) // 2]
    model = ALS(
        rank=settings.ials_dimensions,
        maxIter=SWEEPS,
        implicitPrefs=True,
        alpha=1 / unobserved,
        regParam=KEPT * (1 + 1 / unobserved),
        numUserBlocks=BLOCKS,
        numItemBlocks=BLOCKS,
        seed=seed,
    ).fit(ratings)
    named = model.itemFactors.join(items, F.col("id") == F.col("item"))
    return named.select("item_id", F.col("features").alias("factors"))


def _numbered_ids(pairs: DataFrame, column: str, name: str) -> DataFrame:
    ids = numbered(pairs.select(column).distinct(), [F.col(column)], name)
    return ids.withColumn(name, F.col(name).cast("int"))
