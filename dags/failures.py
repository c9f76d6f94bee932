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
        _log(f"task {ti.task_id} failed before the run had a configuration: {context.get('exception')}")
        return
    try:
        config = load_config(frozen)
        record = task_records(config).get(ti.task_id, {})
    except LakeError as error:
        _log(f"task {ti.task_id} failed, and its record cannot be read: {error}")
        return
    _log(
        f"task {ti.task_id} of night {config.night} failed: {record.get('error') or context.get('exception')}\n"
        f"Records of the run: {run_folder(config.lake, config.run_id)}\nConfiguration: {frozen}\n"
        "What to do: see the task's documentation"
    )


def _log(text: str) -> None:
    """One entry per line, so that whoever reads the log by lines finds each of them."""
    for line in text.splitlines():
        log.error(line)
