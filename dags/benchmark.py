"""The DAG of the ranking benchmark: Nightrec against tuned collaborative filtering, on a published night's own data."""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from dags.assets import asset
from dags.benchmark_params import benchmark_params
from dags.benchmark_steps import BENCHMARK_DOC, BENCHMARK_STEPS
from dags.failures import explain_failure
from dags.operators import RayTaskOperator

CONFIG = "{{ ti.xcom_pull(task_ids='freeze_config') }}"


def about(name: str) -> dict:
    """What every operator of a task takes from its description."""
    step = BENCHMARK_STEPS[name]
    outlets = [asset(table) for table in step.publishes]
    return {"task_id": name, "doc_md": step.doc_md, "execution_timeout": step.limit, "outlets": outlets}


@task(**about("freeze_config"))
def freeze_config(params: dict, run_id: str) -> str:
    """Validate Params and file once; returns the URI of the frozen configuration."""
    from dags.benchmark_params import save_benchmark_run
    from schemas.errors import NightrecError

    # A run by hand has no interval: it reads the newest night up to the day on which it was triggered.
    context = get_current_context()
    when = context.get("data_interval_end") or context["dag_run"].run_after
    try:
        # Run ids are unique within a DAG only, and a night may have been triggered under the same one.
        return save_benchmark_run(params, f"benchmark__{run_id}", when)
    except NightrecError as error:
        raise AirflowFailException(str(error)) from error  # No retry mends a file or a folder.


with DAG(
    dag_id="benchmark",
    description="Nightrec against tuned collaborative filtering, on the data of the last published night",
    doc_md=BENCHMARK_DOC,
    start_date=datetime.fromisoformat(os.environ.get("NIGHTREC_START_DATE", "2026-01-01")).replace(tzinfo=UTC),
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=benchmark_params(),
    tags={"nightrec", "benchmark", "ranking"},
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
    compare = RayTaskOperator(module="ray_tasks.benchmark_ranking", config=CONFIG, **about("benchmark_ranking"))
    freeze_config() >> compare
