"""Task `features`: what the models read of the night: histories, the time split, documents, counts and trends.

One task and one Spark session, since a session takes longer to start than these take on a small night, and all of them
read the same interactions.
"""

from pyspark import StorageLevel
from pyspark.sql import SparkSession

from jobs.drawn_lists import examination, places_seen
from jobs.feedback_events import with_feedback
from jobs.frames import input_bytes, read_table
from jobs.histories import histories
from jobs.item_documents import documents_and_statistics
from jobs.session import fit_shuffles, spark_session
from schemas.night import Task, night_task, task_arguments

EVENT = ("user_id", "item_id", "timestamp", "rating", "weight")
"""What of an interaction any feature looks at: reviews stay on disk."""


def main() -> None:
    """Run the task."""
    uri = task_arguments(__doc__ or "")
    with night_task("features", uri) as task, spark_session("features") as spark:
        features(task, spark)


def features(task: Task, spark: SparkSession) -> None:
    """Stage and publish the tables of `jobs.histories` and `jobs.item_documents`.

    Raises NothingToDo when no user is left to serve.
    """
    fit_shuffles(spark, task.config.features, input_bytes(task, "interactions", "items", "feedback"))
    told, feedback = (read_table(spark, task.read(name)) for name in ("interactions", "feedback"))
    looked_at = examination(places_seen(spark, task))
    task.counters["examination"] = {str(place): share for place, share in looked_at.items()}
    interactions = told.select(*EVENT)
    if not feedback.isEmpty():
        weights = task.config.features.feedback
        interactions = with_feedback(interactions, feedback, weights, looked_at).persist(StorageLevel.MEMORY_AND_DISK)
    histories(task, spark, interactions)
    documents_and_statistics(task, spark, interactions)


if __name__ == "__main__":
    main()
