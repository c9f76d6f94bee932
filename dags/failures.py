"""What the log of a failed task ends with: the reason that the task recorded, and where its records are."""

import logging

from airflow.sdk import Context

from schemas.errors import LakeError

log = logging.getLogger("nightrec.failure")


def explain_failure(context: Context) -> None:
    """Failure and retry callback: log the task's recorded error and the folder of the run."""
    from schemas.night import load_config, run_folder, task_records

    ti = context["ti"]
    frozen = ti.xcom_pull(task_ids="freeze_config")
    if not frozen:
        log.error("task %s failed before the run had a configuration: %s", ti.task_id, context.get("exception"))
        return
    try:
        config = load_config(frozen)
        record = task_records(config).get(ti.task_id, {})
    except LakeError as error:
        log.error("task %s failed, and its record cannot be read: %s", ti.task_id, error)
        return
    reason = record.get("error") or context.get("exception")
    log.error(
        "task %s of night %s failed: %s\nRecords of the run: %s\nConfiguration: %s\nWhat to do: its documentation",
        ti.task_id,
        config.night,
        reason,
        run_folder(config.lake, config.run_id),
        frozen,
    )
