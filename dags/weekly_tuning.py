"""The DAG of a week: the generator is tuned on what nights have published, and promoted if that made it better."""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from dags.assets import asset
from dags.failures import explain_failure
from dags.operators import RayTaskOperator
from dags.params import night_params
from dags.weekly_steps import WEEKLY_DOC, WEEKLY_STEPS

CONFIG = "{{ ti.xcom_pull(task_ids='freeze_config') }}"


def about(name: str) -> dict:
    """What every operator of a task takes from its description."""
    step = WEEKLY_STEPS[name]
    outlets = [asset(table) for table in step.publishes]
    return {"task_id": name, "doc_md": step.doc_md, "execution_timeout": step.limit, "outlets": outlets}


@task(**about("freeze_config"))
def freeze_config(params: dict, run_id: str) -> str:
    """Validate Params and file once; returns the URI of the frozen configuration."""
    from dags.freezing import save_frozen
    from schemas.errors import NightrecError

    try:
        # Run ids are unique within a DAG only, and a night may have been triggered under the same one.
        end = get_current_context().get("data_interval_end")
        return save_frozen(params, f"weekly_tuning__{run_id}", end, champion=False)
    except NightrecError as error:
        raise AirflowFailException(str(error)) from error  # No retry mends a file or a folder.


with DAG(
    dag_id="weekly_tuning",
    description="The profile generator, tuned on the catalogue with LoRA and promoted if it became better",
    doc_md=WEEKLY_DOC,
    start_date=datetime.fromisoformat(os.environ.get("NIGHTREC_START_DATE", "2026-01-01")).replace(tzinfo=UTC),
    # Sundays, when the night is over.
    schedule=CronDataIntervalTimetable(os.environ.get("NIGHTREC_TUNING_SCHEDULE", "0 6 * * 0"), timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    params=night_params(),
    tags={"nightrec", "tuning", "weekly"},
    default_args={
        "owner": "nightrec",
        "retries": 1,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
        "on_failure_callback": explain_failure,
        "on_retry_callback": explain_failure,
    },
) as dag:
    tune = RayTaskOperator(module="ray_tasks.tune_generator", config=CONFIG, **about("tune_generator"))
    freeze_config() >> tune
