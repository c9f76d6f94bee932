"""Task `experiment_readouts`: what the arms of every experiment did, from all feedback before the night.

Who is in which arm is told by the hash that made the lists, so that no night's lists are read. Counts per user and day
stay with Spark; parts of the users become sums, which add up.
"""

import logging
import pickle
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from functools import reduce

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs.experiments.evidence import Evidence, add, evidence
from jobs.experiments.readout import judge
from jobs.experiments.row import Row
from jobs.frames import input_bytes, read_table
from jobs.session import fit_shuffles, spark_session
from schemas.experiments import Experiment, Experiments
from schemas.night import Task, night_task, task_arguments
from schemas.stage_files import write_rows
from schemas.tables.experiment_readouts import EXPERIMENT_READOUTS

log = logging.getLogger("nightrec.experiments")

PART = 20_000
"""Users whose counts one Python worker holds at once, about."""


def main() -> None:
    """Read the feedback, judge the experiments that have begun, publish."""
    with night_task("experiment_readouts", task_arguments(__doc__ or "")) as task:
        feedback, night = task.read("feedback"), task.config.night
        begun = [one for one in task.config.experiments.planned if one.start < night]
        rows: list[Row] = []
        if begun:
            with spark_session("experiment_readouts") as spark:
                fit_shuffles(spark, task.config.features, input_bytes(task, "feedback"))
                rows = readouts(read_table(spark, feedback), begun, task.config.experiments, night)
        publish(task, rows)


def publish(task: Task, rows: list[Row]) -> None:
    """Publish the table; the verdicts go to the log and the task's record."""
    stage = task.stage("experiment_readouts")
    write_rows(stage, pa.Table.from_pylist([asdict(row) for row in rows], schema=EXPERIMENT_READOUTS.schema))
    task.publish(stage)
    verdicts = {f"{row.experiment}/{row.arm}": row.verdict for row in rows if row.verdict}
    for arm, verdict in verdicts.items():
        log.info("%s: %s", arm, verdict)
    task.counters["verdicts"] = verdicts


def readouts(feedback: DataFrame, begun: list[Experiment], plan: Experiments, night: date) -> list[Row]:
    """Rows of all experiments that have begun before a night, in their order."""
    found = []
    for experiment in begun:
        rows = counts(feedback, experiment, plan)
        found += judge(experiment, gathered(rows, experiment, night))
    return found


def counts(feedback: DataFrame, experiment: Experiment, plan: Experiments) -> DataFrame:
    """Columns user_id, arm, day and `metrics.COUNTS`: a row for each day of each user of the experiment."""

    def number(*kinds: str) -> Column:
        return F.count(F.when(F.col("kind").isin(*kinds), 1)).cast("double")

    dwelt = F.sum(F.when(F.col("kind") == "dwell", F.coalesce("value", F.lit(0.0))).otherwise(0.0))
    known = feedback.withColumn("arm", arm_of(experiment, plan)).where(F.col("arm").isNotNull())
    return known.groupBy("user_id", "arm", F.to_date("timestamp").alias("day")).agg(
        number("impression").alias("impressions"),
        number("click").alias("clicks"),
        number("conversion").alias("conversions"),
        dwelt.alias("dwell_seconds"),
        number("helpful").alias("helpful"),
        number("unhelpful").alias("unhelpful"),
        number("hide_item", "hide_theme").alias("hides"),
    )


def arm_of(experiment: Experiment, plan: Experiments) -> Column:
    """The arm of the user of a row, as `Experiments.arms` has it; null for users outside the experiment."""
    place, drawn = unit(f"layer:{experiment.layer}"), unit(f"arm:{experiment.name}:{experiment.salt}")
    takes_part = (place >= experiment.offset) & (place < experiment.offset + experiment.traffic)
    open_to = unit(f"holdout:{plan.holdout_salt}") >= plan.holdout
    weights = np.cumsum([arm.weight for arm in experiment.arms])
    name = F.lit(experiment.arms[-1].name)
    for arm, upto in reversed(list(zip(experiment.arms[:-1], (weights / weights[-1])[:-1].tolist(), strict=True))):
        name = F.when(drawn < upto, F.lit(arm.name)).otherwise(name)
    return F.when(takes_part & open_to, name)


def unit(salt: str) -> Column:
    """`schemas.experiments.units` of a row's user."""
    digest = F.sha2(F.concat(F.lit(f"{salt}:"), F.col("user_id")), 256)
    return F.conv(F.substring(digest, 1, 13), 16, 10).cast("bigint").cast("double") * 2.0**-52


def gathered(rows: DataFrame, experiment: Experiment, night: date) -> Evidence:
    """Sums over all users, of days before a night."""

    def sums(part: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"sums": [pickle.dumps(evidence(experiment, part, night))]})

    users = rows.agg(F.count_distinct("user_id")).first()
    parts = max(1, int((users[0] if users else 0) / PART))
    by_part = rows.withColumn("part", F.pmod(F.xxhash64("user_id"), F.lit(parts)))
    found = by_part.groupBy("part").applyInPandas(sums, "sums binary").toLocalIterator()
    return reduce(add, _opened(row["sums"] for row in found), empty(experiment, night))


def _opened(parts: Iterator[bytearray]) -> Iterator[Evidence]:
    return (pickle.loads(bytes(part)) for part in parts)  # noqa: S301 - this job's own workers wrote it


def empty(experiment: Experiment, night: date) -> Evidence:
    """Evidence of nobody."""
    from jobs.experiments.metrics import COUNTS

    nobody = pd.DataFrame({name: pd.Series(dtype=float) for name in COUNTS}).assign(user_id="", arm="", day=None)
    return evidence(experiment, nobody.iloc[:0], night)


if __name__ == "__main__":
    main()
