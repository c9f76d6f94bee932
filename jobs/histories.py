"""Interactions -> what each user did before `as_of`, the time split, factors of large catalogues."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import accumulate

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.frames import instant, numbered, read_stage, staged_rows, write_stage
from jobs.item_factors import item_factors, state_the_rule
from schemas.config import Features
from schemas.errors import NothingToDo
from schemas.night import Task

KEY = ("micros", "user_id", "item_id")
DAY = 86_400_000_000
"""Microseconds."""


def histories(task: Task, spark: SparkSession, interactions: DataFrame) -> None:
    """Stage and publish `user_histories`, `splits` and `item_factors`, which stays empty for most catalogues.

    Raises NothingToDo when no user is left to serve.
    """
    config = task.config
    stages = {name: task.stage(name) for name in ("user_histories", "splits", "item_factors")}
    write_stage(user_histories(interactions, config.features, config.as_of), stages["user_histories"])
    if not staged_rows(stages["user_histories"]):
        raise NothingToDo(
            f"no user has {config.features.min_user_interactions} or more interactions before {config.night}: "
            "lower features.min_user_interactions or choose a later run date"
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


def user_histories(interactions: DataFrame, features: Features, as_of: datetime) -> DataFrame:
    """Table `user_histories`: for those who get a list, who are active enough, and of these the most recently active.

    A history has the user's distinct items by latest interaction, most recent first, ties by item_id, at most
    `features.history_length`. Events move once, to their user's partition, which both groupings are made in.
    """
    # A user has an item once at an instant, by the table's key: latest rating and weight are of one event.
    events = interactions.repartition("user_id")
    pairs = events.groupBy("user_id", "item_id").agg(
        F.max("timestamp").alias("last"),
        *(F.max_by(name, "timestamp").alias(name) for name in ("rating", "weight")),
        F.count("*").alias("n"),
        F.min("timestamp").alias("first"),
    )
    entry = F.struct((-F.unix_micros("last")).alias("since"), "item_id", "rating", "weight")
    users = pairs.groupBy("user_id").agg(
        F.count("*").alias("n_items"),
        F.sum("n").alias("n_interactions"),
        F.min("first").alias("first_timestamp"),
        F.max("last").alias("last_timestamp"),
        F.slice(F.array_sort(F.collect_list(entry)), 1, features.history_length).alias("entries"),
    )
    items = F.transform(
        "entries",
        lambda each: F.struct(
            each["item_id"].alias("item_id"),
            F.timestamp_micros(-each["since"]).alias("timestamp"),
            each["rating"].alias("rating"),
            each["weight"].alias("weight"),
        ),
    )
    users = users.where(F.col("n_interactions") >= features.min_user_interactions)
    if features.max_users is not None:
        users = users.orderBy(F.desc("last_timestamp"), F.asc("user_id")).limit(features.max_users)
    return users.withColumns({"items": items, "as_of": instant(as_of)}).drop("entries")


def time_split(interactions: DataFrame, validation_share: float, test_share: float) -> DataFrame:
    """Table `splits`: all interactions in the order (timestamp, user_id, item_id), cut by exact row counts.

    The last `test_share` is test, the `validation_share` before it validation, the rest train. Every user takes
    part, served or not. Only the days of the two cuts are sorted.
    """
    counts = interactions.groupBy(_day().alias("day")).count().orderBy("day").collect()
    rows = sum(row["count"] for row in counts)
    test_from = rows - round(rows * test_share)
    validation_from = test_from - round(rows * validation_share)
    first = rows_at(interactions, {row["day"]: row["count"] for row in counts}, (validation_from, test_from))
    is_train, is_before_test = (_is_before(first.get(place)) for place in (validation_from, test_from))
    split = F.when(is_train, "train").when(is_before_test, "validation").otherwise("test")
    return interactions.withColumn("split", split)


def rows_at(interactions: DataFrame, by_day: Mapping[int, int], places: Iterable[int]) -> dict[int, Row]:
    """KEY of the rows at places of the order, counted from 0; none for a place beyond the end.

    `by_day` counts the rows of each day, in the order of time: only days of these places are sorted.
    """
    ends = dict(zip(by_day, accumulate(by_day.values()), strict=True))
    day_of = {place: day for place in places for day in by_day if ends[day] - by_day[day] <= place < ends[day]}
    among, found = 0, dict[int, int]()  # rows of these days before each of them
    for day in sorted(set(day_of.values())):
        found |= {among + place - ends[day] + by_day[day]: place for place, own in day_of.items() if own == day}
        among += by_day[day]
    if not found:
        return {}
    near = interactions.where(_day().isin(*set(day_of.values()))).select(*_order())
    rows = numbered(near, [F.col(name) for name in KEY], "place").where(F.col("place").isin(*found)).collect()
    return {found[row["place"]]: row for row in rows}


def _is_before(row: Row | None) -> Column:
    """Whether an interaction stands before a row of KEY; all do where there is none."""
    if row is None:
        return F.lit(True)
    return F.struct(*_order()) < F.struct(*[F.lit(row[name]).alias(name) for name in KEY])


def _order() -> list[Column]:
    """The total order of interactions, as columns named KEY."""
    return [F.unix_micros("timestamp").alias(KEY[0]), *map(F.col, KEY[1:])]


def _day() -> Column:
    return F.floor(F.unix_micros("timestamp") / DAY)
