"""Interactions -> what each user did before `as_of`, the time split, factors of large catalogues."""

import logging
from datetime import datetime

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.frames import instant, numbered, read_stage, write_stage
from jobs.item_factors import item_factors, state_the_rule
from schemas.config import Features
from schemas.errors import NothingToDo
from schemas.night import Task

log = logging.getLogger("nightrec.features")


def histories(task: Task, spark: SparkSession, interactions: DataFrame) -> None:
    """Stage and publish `user_histories`, `splits` and `item_factors`, which stays empty for most catalogues.

    Raises NothingToDo when no user is left to serve.
    """
    config = task.config
    users = served_users(interactions, config.features).persist(StorageLevel.MEMORY_AND_DISK)
    if users.isEmpty():
        raise NothingToDo(
            f"no user has {config.features.min_user_interactions} or more interactions before {config.night}: "
            "lower features.min_user_interactions or choose a later run date"
        )
    stages = {name: task.stage(name) for name in ("user_histories", "splits", "item_factors")}
    write_stage(
        user_histories(interactions, users, config.as_of, config.features.history_length), stages["user_histories"]
    )
    shares = config.evaluation.validation_share, config.evaluation.test_share
    write_stage(time_split(interactions, *shares), stages["splits"])
    rule = state_the_rule(interactions.select("item_id").distinct().count(), config.candidates)
    task.counters.update(rule)
    if rule["factors_fitted"]:
        splits = read_stage(spark, stages["splits"])
        write_stage(item_factors(splits, config.candidates, config.seed), stages["item_factors"])
    for stage in stages.values():
        task.publish(stage)


def served_users(interactions: DataFrame, features: Features) -> DataFrame:
    """The users that get a list, with their counts: those active enough, and of these the most recently active.

    Columns: user_id, n_items, n_interactions, first_timestamp, last_timestamp.
    """
    users = interactions.groupBy("user_id").agg(
        F.count_distinct("item_id").alias("n_items"),
        F.count("*").alias("n_interactions"),
        F.min("timestamp").alias("first_timestamp"),
        F.max("timestamp").alias("last_timestamp"),
    )
    users = users.where(F.col("n_interactions") >= features.min_user_interactions)
    if features.max_users is None:
        return users
    return users.orderBy(F.desc("last_timestamp"), F.asc("user_id")).limit(features.max_users)


def user_histories(interactions: DataFrame, users: DataFrame, as_of: datetime, length: int) -> DataFrame:
    """Table `user_histories`: each user's distinct items by latest interaction, most recent first, at most `length`."""
    events = interactions.join(users.select("user_id"), "user_id", "left_semi")
    latest = events.groupBy("user_id", "item_id").agg(
        F.max_by(F.struct("timestamp", "rating", "weight"), "timestamp").alias("event")
    )
    recency = Window.partitionBy("user_id").orderBy(F.desc("event.timestamp"), F.asc("item_id"))
    entry = F.struct(
        F.col("rank"), F.struct("item_id", "event.timestamp", "event.rating", "event.weight").alias("item")
    )
    kept = latest.withColumn("rank", F.row_number().over(recency)).where(F.col("rank") <= length)
    lists = kept.groupBy("user_id").agg(F.array_sort(F.collect_list(entry)).alias("entries"))
    items = F.transform("entries", lambda each: each["item"])
    return users.join(lists.select("user_id", items.alias("items")), "user_id").withColumn("as_of", instant(as_of))


def time_split(interactions: DataFrame, validation_share: float, test_share: float) -> DataFrame:
    """Table `splits`: all interactions in the order (timestamp, user_id, item_id), cut by exact row counts.

    The last `test_share` is test, the `validation_share` before it validation, the rest train. Every user takes
    part, served or not.
    """
    rows = interactions.count()
    test_from = rows - round(rows * test_share)
    validation_from = test_from - round(rows * validation_share)
    order = [F.col("timestamp"), F.col("user_id"), F.col("item_id")]
    position = F.col("_position")
    split = F.when(position < validation_from, "train").when(position < test_from, "validation").otherwise("test")
    return numbered(interactions, order, "_position").withColumn("split", split).drop("_position")
