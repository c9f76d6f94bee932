"""Task `ingest`: the user's sources -> interactions, items, users, feedback, requests, and what was not taken in.

Only rows before `as_of` are taken in. Every other row ends in `quarantine` with a reason (`jobs.quarantine.REASONS`);
rows in = rows out + rows quarantined for every entity, or nothing is published.
"""

import logging
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - everybody calls it F

from jobs import typed_rows
from jobs.frames import staged_rows, write_stage
from jobs.quarantine import LATE, quarantine_rows
from jobs.read_source import read_source
from jobs.session import fit_shuffles, spark_session
from jobs.source_columns import check_columns
from schemas.errors import NightrecError, NothingToDo, SourceError
from schemas.lake import Stage
from schemas.night import Task, night_task, task_arguments
from schemas.source_config import ENTITIES, EntitySource, Sources
from schemas.storage import file_size, list_files
from schemas.tables import TABLES

log = logging.getLogger("nightrec.ingest")

REQUIRED = ("items", "interactions")
"""Entities that cannot be empty; the others may have a quiet day."""


class RowsLost(NightrecError):
    """Rows in are not rows out plus rows quarantined: a defect of Nightrec, never of the data."""


def main() -> None:
    """Run the task."""
    with night_task("ingest", task_arguments(__doc__ or "")) as task, spark_session("ingest") as spark:
        ingest(task, spark)


def ingest(task: Task, spark: SparkSession) -> None:
    """Judge every row of every source, stage the accepted and the rejected, check that none is lost, publish."""
    raw = open_sources(spark, task.config.source)
    fit_shuffles(spark, task.config.features, source_bytes(raw))
    rows_in = count_rows(task.config.source, raw)
    judged = judge(task.config.source, raw, task.config.as_of)
    reasons = {entity: reasons_of(frame.persist(StorageLevel.MEMORY_AND_DISK)) for entity, frame in judged.items()}
    for entity in REQUIRED:
        require_rows(entity, judged[entity], reasons[entity], task.config.as_of)
    stages = {entity: task.stage(entity) for entity in ENTITIES}
    for entity, frame in judged.items():
        write_stage(frame.where(F.col("_reason").isNull()), stages[entity])
    quarantine = task.stage("quarantine")
    rejected = {entity: frame for entity, frame in judged.items() if set(reasons[entity]) - {None}}
    if rejected:
        write_stage(quarantine_rows(rejected), quarantine)
    task.counters.update(funnel(spark, rows_in, stages, quarantine))
    check_balance(task.counters)
    for stage in (*stages.values(), quarantine):
        task.publish(stage)


def open_sources(spark: SparkSession, sources: Sources) -> dict[str, DataFrame]:
    """The configured sources by entity, with all their columns checked."""
    raw = {}
    for entity, source in _configured(sources).items():
        frame = read_source(spark, entity, source)
        if len(frame.columns) > 1:
            check_columns(entity, source, frame.columns[:-1])
            raw[entity] = frame
        elif entity in REQUIRED:
            raise SourceError(f"{entity}: {source.path} is empty")
    return raw


def _configured(sources: Sources) -> dict[str, EntitySource]:
    found = {entity: getattr(sources, entity) for entity in ENTITIES}
    return {entity: source for entity, source in found.items() if source is not None}


def source_bytes(raw: dict[str, DataFrame]) -> int:
    """Bytes of the sources' files; those on a storage that only Spark can open count as none."""
    try:
        return sum(file_size(uri) for frame in raw.values() for uri in frame.inputFiles())
    except (OSError, pa.ArrowException) as error:
        log.warning(
            "the size of the sources is not known (%s): set features.shuffle_partitions if they are large", error
        )
        return 0


def count_rows(sources: Sources, raw: dict[str, DataFrame]) -> dict[str, int]:
    """Rows of each source, counted apart from everything that follows. Raises SourceError for an empty one."""
    counts = {entity: frame.count() for entity, frame in raw.items()}
    for entity in REQUIRED:
        if not counts[entity]:
            raise SourceError(f"{entity}: {getattr(sources, entity).path} has a header or schema, but no rows")
    for entity, rows in counts.items():
        log.info("%s: %s rows in", entity, f"{rows:,}")
    return counts


def judge(sources: Sources, raw: dict[str, DataFrame], as_of: datetime) -> dict[str, DataFrame]:
    """Every source row, typed, with the reason not to take it in, by entity."""
    judged = {"items": _unique("items", typed_rows.items(raw["items"], sources.items), F.asc("title"))}
    events = typed_rows.interactions(raw["interactions"], sources.interactions, as_of)
    events = typed_rows.without_unknown_items(events, judged["items"])
    told = (F.desc_nulls_last(F.length("review")), F.asc("review"))  # of copies, the one that says most
    strongest = (F.desc("weight"), F.desc_nulls_last("rating"), *told, F.asc_nulls_last("event_type"))
    judged["interactions"] = _unique("interactions", events, *strongest)
    if sources.users and "users" in raw:
        judged["users"] = _unique("users", typed_rows.users(raw["users"], sources.users))
    if sources.feedback and "feedback" in raw:
        events = typed_rows.feedback(raw["feedback"], sources.feedback, as_of)
        events = typed_rows.without_unknown_items(events, judged["items"])
        judged["feedback"] = _unique("feedback", events, F.desc_nulls_last("value"))
    if sources.requests and "requests" in raw:
        judged["requests"] = _unique("requests", typed_rows.requests(raw["requests"], sources.requests, as_of))
    return judged


def _unique(entity: str, judged: DataFrame, *preference: Column) -> DataFrame:
    return typed_rows.without_duplicates(judged, TABLES[entity].key, preference)


def reasons_of(judged: DataFrame) -> dict[str | None, int]:
    """Rows by reason; None is accepted."""
    return {row["_reason"]: row["count"] for row in judged.groupBy("_reason").count().collect()}


def require_rows(entity: str, judged: DataFrame, reasons: dict[str | None, int], as_of: datetime) -> None:
    """Raise when no row of an entity is accepted: NothingToDo before the first event, else SourceError."""
    if reasons.get(None):
        return
    told = ", ".join(f"{reason}: {rows:,}" for reason, rows in sorted(reasons.items(), key=str))
    if reasons.get(LATE):
        first = judged.where(F.col("_reason") == LATE).agg(F.min("timestamp").cast("string")).first()
        raise NothingToDo(
            f"{entity}: no event before {as_of.date()}; the first is at {first[0] if first else '?'} UTC ({told}). "
            "Choose a later run date; if that instant is absurd, the timestamp's 'unit' is wrong."
        )
    raise SourceError(
        f"{entity}: not one row could be taken in ({told}). When all are malformed, check 'delimiter' and 'names'; "
        "when no timestamp parses, its 'unit'; see jobs/quarantine.py for what each reason means."
    )


def funnel(
    spark: SparkSession, rows_in: dict[str, int], stages: dict[str, Stage], quarantine: Stage
) -> dict[str, dict[str, Any]]:
    """The task's counters: rows in, rows out and quarantined by reason, the latter two from the staged files."""
    quarantined: dict[str, dict[str, int]] = {entity: {} for entity in rows_in}
    if list_files(quarantine.uri, ".parquet"):
        entries = spark.read.parquet(quarantine.uri).groupBy("entity", "reason").agg(F.sum("rows").alias("rows"))
        for row in entries.orderBy("entity", "reason").collect():
            quarantined[row["entity"]][row["reason"]] = row["rows"]
    rows_out = {entity: staged_rows(stages[entity]) for entity in rows_in}
    return {"rows_in": rows_in, "rows_out": rows_out, "quarantined": quarantined}


def check_balance(counters: dict[str, dict[str, Any]]) -> None:
    """Raise RowsLost unless rows in = rows out + rows quarantined for every entity."""
    lost = []
    for entity, rows_in in counters["rows_in"].items():
        out, dropped = counters["rows_out"][entity], sum(counters["quarantined"][entity].values())
        if rows_in != out + dropped:
            lost.append(f"{entity}: {rows_in} in, {out} out, {dropped} quarantined")
    if lost:
        raise RowsLost("rows in are not rows out plus quarantined; nothing was published. " + "; ".join(lost))


if __name__ == "__main__":
    main()
