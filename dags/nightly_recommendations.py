"""The DAG of a night: from interactions and items to published, explained recommendations."""

import logging
import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from dags.assets import asset, attach_metadata
from dags.failures import explain_failure
from dags.night_doc import DAG_DOC
from dags.operators import RayTaskOperator, SparkTaskOperator
from dags.params import night_params
from dags.steps import STEPS

CONFIG = "{{ ti.xcom_pull(task_ids='freeze_config') }}"


def about(name: str) -> dict:
    """What every operator of a task takes from its description."""
    step = STEPS[name]
    outlets = [asset(table) for table in step.publishes]
    return {"task_id": name, "doc_md": step.doc_md, "execution_timeout": step.limit, "outlets": outlets}


def spark(name: str) -> SparkTaskOperator:
    """A Spark task: the file jobs/<name>.py."""
    return SparkTaskOperator(config=CONFIG, **about(name))


def ray(name: str, module: str | None = None) -> RayTaskOperator:
    """A Ray task: the module ray_tasks.<name>, unless told otherwise."""
    return RayTaskOperator(module=module or f"ray_tasks.{name}", config=CONFIG, **about(name))


@task(**about("freeze_config"))
def freeze_config(params: dict, run_id: str) -> str:
    """Validate Params and file once; returns the URI of the frozen configuration."""
    from dags.freezing import save_frozen
    from schemas.errors import NightrecError

    try:
        return save_frozen(params, run_id, get_current_context().get("data_interval_end"))
    except NightrecError as error:
        raise AirflowFailException(str(error)) from error  # No retry mends a file or a folder.


@task(**about("publish_night"))
def publish_night(config: str) -> None:
    """Append the night's row to the manifest."""
    from schemas.manifest import publish_night as publish
    from schemas.night import load_config

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    attach_metadata(get_current_context(), load_config(config).night, {"runs": publish(config)})


with DAG(
    dag_id="nightly_recommendations",
    description="Profiles, embeddings, ranked recommendations and explanations, published every night",
    doc_md=DAG_DOC,
    # Nights begin at this date; runs that are triggered by hand may be of any.
    start_date=datetime.fromisoformat(os.environ.get("NIGHTREC_START_DATE", "2026-01-01")).replace(tzinfo=UTC),
    schedule=CronDataIntervalTimetable(os.environ.get("NIGHTREC_SCHEDULE", "0 2 * * *"), timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    params=night_params(),
    tags={"nightrec", "recommendations", "nightly"},
    default_args={
        "owner": "nightrec",
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
        "on_failure_callback": explain_failure,
        "on_retry_callback": explain_failure,
    },
) as dag:
    frozen = freeze_config()
    published = publish_night(frozen)
    (
        frozen
        >> spark("ingest")
        >> spark("features")
        >> ray("vocabularies")
        >> ray("item_profiles")
        >> ray("user_profiles")
        >> ray("embeddings")
        >> ray("candidates")
        >> ray("ranking")
        >> ray("explanations")
        >> ray("request_recommendations")
        >> spark("evaluation")
        >> spark("experiment_readouts")
        >> published
        >> ray("report", module="jobs.report")
    )
