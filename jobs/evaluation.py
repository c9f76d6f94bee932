"""Task `evaluation`: every model's top lists on the test window against what users then took, as `evaluations`.

Full catalogue, time split: a target is a distinct item of a user's test window that the user had not touched before.
A user with targets but without a list counts as 0. Where nights have shown lists in a drawn order, clicks on them tell
what the ranker's and the challenger's orders earn (`jobs.drawn_lists`).
"""

import logging
from math import log2

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.drawn_lists import off_policy_rows, places_seen
from jobs.frames import input_bytes, read_table, table_schema, write_stage
from jobs.session import fit_shuffles, spark_session
from schemas.night import Task, night_task, task_arguments
from schemas.repeat import repeated

log = logging.getLogger("nightrec.evaluation")

NDCG_CUT, RECALL_CUT = 10, 20
PROTOCOL = "time_split"
GAIN = "decimal(20,15)"
"""Metrics are added up as decimals: sums of doubles depend on the order of rows, and a rerun must give the same."""


def main() -> None:
    """Run the task."""
    with night_task("evaluation", task_arguments(__doc__ or "")) as task:
        if not repeated(task):
            with spark_session("evaluation") as spark:
                evaluate(task, spark)


def evaluate(task: Task, spark: SparkSession) -> None:
    """Stage and publish `evaluations`."""
    fit_shuffles(spark, task.config.features, input_bytes(task, "offline_rankings", "splits", "feedback"))
    rankings, splits, items = (read_table(spark, task.read(name)) for name in ("offline_rankings", "splits", "items"))
    rankings = rankings.persist(StorageLevel.MEMORY_AND_DISK)
    targets = targets_by_slice(splits, task.config.evaluation.min_rating)
    stage = task.stage("evaluations")
    offline = accuracy(rankings, targets).unionByName(coverage(rankings, items))
    rows = spark.createDataFrame(off_policy_rows(places_seen(spark, task)), table_schema("evaluations"))
    write_stage(rows.unionByName(offline, allowMissingColumns=True).coalesce(1), stage)
    for row in spark.read.parquet(stage.uri).where("slice = 'all'").orderBy("metric", F.desc("value")).collect():
        log.info("%s %s %.4f over %s users", row["metric"], row["model"], row["value"], f"{row['n_users']:,}")
    task.publish(stage)


def targets_by_slice(splits: DataFrame, min_rating: float | None) -> DataFrame:
    """The targets, once for every slice that they belong to: columns slice, user_id, item_id.

    Warm users and items have an interaction in train or validation. With `min_rating`, only test interactions
    rated at least so make a target.
    """
    before = splits.where(F.col("split") != "test")
    test = splits.where(F.col("split") == "test")
    if min_rating is not None:
        test = test.where(F.col("rating") >= min_rating)
    pairs = ["user_id", "item_id"]
    targets = test.select(*pairs).distinct().join(before.select(*pairs).distinct(), pairs, "left_anti")
    for name in ("user", "item"):
        warm = before.select(f"{name}_id").distinct().withColumn(f"{name}_warm", F.lit(True))
        targets = targets.join(warm, f"{name}_id", "left")
    slices = [F.lit("all"), *(_slice(name) for name in ("user", "item"))]
    return targets.select(F.explode(F.array(*slices)).alias("slice"), *pairs)


def _slice(name: str) -> Column:
    return F.when(F.col(f"{name}_warm"), f"warm_{name}s").otherwise(f"new_{name}s")


def accuracy(rankings: DataFrame, targets: DataFrame) -> DataFrame:
    """NDCG@10 (binary gains) and Recall@20 by model and slice, in the columns of `evaluations`."""
    users = targets.groupBy("slice", "user_id").agg(F.count("*").alias("n_targets"))
    gain = F.when(F.col("rank") <= NDCG_CUT, 1 / F.log2(F.col("rank") + 1)).otherwise(0.0).cast(GAIN)
    hits = rankings.where(F.col("rank") <= RECALL_CUT).join(targets, ["user_id", "item_id"])
    found = hits.groupBy("model", "slice", "user_id").agg(F.sum(gain).alias("dcg"), F.count("*").alias("n_hits"))
    asked = rankings.select("model").distinct().crossJoin(users)
    scored = asked.join(found, ["model", "slice", "user_id"], "left")
    ndcg = F.least(F.coalesce(F.col("dcg").cast("double"), F.lit(0.0)) / _ideal_dcg(F.col("n_targets")), F.lit(1.0))
    recall = F.coalesce("n_hits", F.lit(0)) / F.col("n_targets")
    metrics = {f"ndcg@{NDCG_CUT}": ndcg, f"recall@{RECALL_CUT}": recall}
    parts = [F.struct(F.lit(name).alias("metric"), value.alias("value")) for name, value in metrics.items()]
    per_user = scored.select("model", "slice", F.explode(F.array(*parts)).alias("m"))
    mean = F.avg(F.col("m.value").cast(GAIN)).cast("double").alias("value")
    table = per_user.groupBy("model", "slice", F.col("m.metric").alias("metric")).agg(
        mean, F.count("*").alias("n_users")
    )
    return table.withColumn("protocol", F.lit(PROTOCOL))


def _ideal_dcg(n_targets: Column) -> Column:
    """DCG of a list that begins with all the targets it can hold."""
    sums = [sum(1 / log2(rank + 1) for rank in range(1, n + 1)) for n in range(1, NDCG_CUT + 1)]
    return F.element_at(F.array(*[F.lit(total) for total in sums]), F.least(n_targets, F.lit(NDCG_CUT)).cast("int"))


def coverage(rankings: DataFrame, items: DataFrame) -> DataFrame:
    """Share of the catalogue in any user's first 10, by model, in the columns of `evaluations`."""
    top = rankings.where(F.col("rank") <= NDCG_CUT).join(items.select("item_id"), "item_id", "left_semi")
    counted = top.groupBy("model").agg(
        F.count_distinct("item_id").alias("n_items"), F.count_distinct("user_id").alias("n_users")
    )
    share = F.col("n_items") / F.col("n_catalogue")
    table = counted.crossJoin(items.agg(F.count("*").alias("n_catalogue"))).withColumn("value", share)
    labels = {"slice": F.lit("all"), "metric": F.lit(f"coverage@{NDCG_CUT}"), "protocol": F.lit(PROTOCOL)}
    return table.withColumns(labels).drop("n_items", "n_catalogue")


if __name__ == "__main__":
    main()
