"""The catalogue -> one clean text per item, and counts and trends at `as_of`."""

from datetime import datetime, timedelta

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.clean_text import clean_text, cut_at_word
from jobs.frames import instant, read_table, write_stage
from schemas.night import Task


def documents_and_statistics(task: Task, spark: SparkSession, interactions: DataFrame) -> None:
    """Stage and publish `item_documents` and `item_statistics`."""
    items = read_table(spark, task.read("items")).persist(StorageLevel.MEMORY_AND_DISK)
    documents, statistics = task.stage("item_documents"), task.stage("item_statistics")
    write_stage(item_documents(items, task.config.features.document_characters), documents)
    write_stage(item_statistics(items, interactions, task.config.as_of), statistics)
    task.publish(documents)
    task.publish(statistics)


def item_documents(items: DataFrame, characters: int) -> DataFrame:
    """Table `item_documents`. A document reads `field: text. field: text`, on one line, at most `characters` long."""
    cleaned = F.coalesce(F.nullif(clean_text(F.col("title")), F.lit("")), F.trim("title"))
    categories = F.filter(F.transform("categories", clean_text), lambda category: category != "")
    parts = F.array_join(F.filter(F.transform("texts", _part), lambda part: part != ""), ". ")
    # Step by step: an expression that is used several times is computed once where it is a column of its own.
    steps = items.select("item_id", cleaned.alias("title"), categories.alias("categories"), parts.alias("parts"))
    whole = F.when(F.col("parts") != "", F.col("parts")).otherwise(F.concat(F.lit("title: "), F.col("title")))
    steps = steps.withColumn("whole", whole).withColumn("document", cut_at_word(F.col("whole"), characters))
    return steps.withColumn("content_hash", F.sha2("document", 256)).drop("parts", "whole")


def _part(entry: Column) -> Column:
    """One field as `field: text` without the full stop that the next one brings; empty for an empty text."""
    text = F.regexp_replace(clean_text(entry["text"]), r"[. ]+$", "")
    name = F.replace(entry["field"], F.lit("_"), F.lit(" "))
    return F.when(text == "", "").otherwise(F.concat(name, F.lit(": "), text))


def item_statistics(items: DataFrame, interactions: DataFrame, as_of: datetime) -> DataFrame:
    """Table `item_statistics`: a row for every catalogue item, zeros where nobody has touched it.

    The trend compares daily rates, each smoothed by one event in 30 days: 1 for an item without events.
    """
    counted = interactions.groupBy("item_id").agg(
        F.count("*").alias("n_interactions"),
        F.count_distinct("user_id").alias("n_users"),
        _since(as_of, 7).alias("n_last_7_days"),
        _since(as_of, 30).alias("n_last_30_days"),
        # Decimals add up to the same mean in any order of rows; doubles do not.
        F.avg(F.col("rating").cast("decimal(20,6)")).cast("double").alias("mean_rating"),
        F.min("timestamp").alias("first_timestamp"),
        F.max("timestamp").alias("last_timestamp"),
    )
    counts = ["n_interactions", "n_users", "n_last_7_days", "n_last_30_days"]
    joined = items.select("item_id").join(counted, "item_id", "left").fillna(0, counts)
    recent, usual = F.col("n_last_7_days") / 7, F.col("n_last_30_days") / 30
    trend = (recent + 1 / 30) / (usual + 1 / 30)
    return joined.withColumns({"as_of": instant(as_of), "trend": trend})


def _since(as_of: datetime, days: int) -> Column:
    return F.count_if(F.col("timestamp") >= instant(as_of - timedelta(days=days)))
