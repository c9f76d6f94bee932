"""Operators that run a task of the night by name, on Spark or Ray, and tell its Assets what it published."""

import os
import shlex
import sys
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseHook, BaseOperator, Context, ResumableJobMixin
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException

from dags.assets import attach_metadata
from dags.processes import LocalProcess, ProcessFailed, stop_tree
from dags.ray_jobs import ACTIVE, JobClient, JobFailed, follow, job_status, submission_id, submit_or_attach
from dags.steps import HOME

PERMANENT = ("ConfigError", "SourceError", "NothingToDo", "SchemaMismatch", "AuditFailed", "ModelError")
"""Errors that a retry without a change would meet again."""


class NightTask:
    """What a task of the night does whichever engine runs it: a templated `config`, its record, its lineage."""

    config: str
    task_id: str

    def perform(self, context: Context) -> None:
        """Run the task on its engine. Raises AirflowException when it fails."""
        raise NotImplementedError

    def execute(self, context: Context) -> None:
        """Run the task, then say what it published; an error that no retry can mend fails it for good."""
        before = self._record().get("attempt", 0)
        try:
            self.perform(context)
        except AirflowException as error:
            record = self._record()
            reason = record.get("error") or ""
            if record.get("attempt", 0) > before and reason.startswith(PERMANENT):
                raise AirflowFailException(reason) from error
            raise
        from schemas.night import load_config

        attach_metadata(context, load_config(self.config).night, self._record().get("outputs", {}))

    def _record(self) -> dict[str, Any]:
        from schemas.night import load_config, task_records

        return task_records(load_config(self.config)).get(self.task_id, {})


class SparkTaskOperator(NightTask, SparkSubmitOperator):
    """spark-submit of `jobs/<task_id>.py --config <config>` to the master that the connection names."""

    template_fields = (*SparkSubmitOperator.template_fields, "config")

    def __init__(self, *, task_id: str, config: str, conn_id: str = "spark_default", **kwargs: Any) -> None:
        super().__init__(
            task_id=task_id,
            application=str(HOME / "jobs" / f"{task_id}.py"),
            application_args=["--config", config],
            conn_id=conn_id,
            name=f"nightrec-{task_id}",
            driver_memory=os.environ.get("NIGHTREC_DRIVER_MEMORY", "3g"),
            **kwargs,
        )
        self.config = config

    def perform(self, context: Context) -> None:
        """Submit and wait."""
        if (BaseHook.get_connection(self._conn_id).host or "").startswith("local"):
            # On a cluster, paths of this machine mean nothing: there its own environment counts.
            self.env_vars = {**(self.env_vars or {}), **local_environment()}
        SparkSubmitOperator.execute(self, context)

    def on_kill(self) -> None:
        """Kill what spark-submit started, which it would leave behind when it is killed itself, and then it."""
        submitted = getattr(self._hook, "_submit_sp", None)
        if submitted is not None and submitted.poll() is None:
            stop_tree(submitted.pid)
        super().on_kill()


class RayTaskOperator(NightTask, ResumableJobMixin, BaseOperator):
    """`python -m <module> --config <config>`, as a process of this machine or as a job of a Ray cluster.

    The cluster's job API is at the connection `ray_default` (host: URL, password: token, extra: `runtime_env`), else at
    `RAY_ADDRESS`. With neither, or with the host `local`, the module runs as a process group of its own.
    """

    template_fields = ("config", "module")
    external_id_key = "ray_submission_id"

    def __init__(self, *, module: str, config: str, conn_id: str = "ray_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.module, self.config, self.conn_id = module, config, conn_id
        self._process: LocalProcess | None = None
        self._client: JobClient | None = None
        self._submitted: str | None = None
        self._runtime_env: dict[str, Any] = {}

    def perform(self, context: Context) -> None:
        """Run the module and wait for it."""
        address, headers = self._cluster()
        try:
            if address is None:
                self._perform_locally()
            else:
                self._client = self._client or connect(address, headers)
                self._perform_on_cluster(context)
        except (ProcessFailed, JobFailed) as error:
            raise AirflowException(str(error)) from error

    def on_kill(self) -> None:
        """End the process group, or stop the job."""
        if self._process is not None:
            self._process.stop()
        if self._client is not None and self._submitted is not None:
            self.log.warning("stopping Ray job %s", self._submitted)
            self._client.stop_job(self._submitted)

    def _perform_locally(self) -> None:
        environment = {**os.environ, **local_environment()}
        environment.pop("RAY_ADDRESS", None)  # Else the module would join a cluster that the connection overrules.
        # -P: what happens to lie in the worker's current folder is not imported.
        command = [sys.executable, "-u", "-P", "-m", self.module, "--config", self.config]
        self._process = LocalProcess(command, environment)
        self._process.run(self.log.info)

    def _perform_on_cluster(self, context: Context) -> None:
        self.execute_resumable(context)
        # The id serves retries of a try that did not see the end. A task that is cleared later shall run anew.
        if (store := context.get("task_state_store")) is not None:
            store.delete(self.external_id_key)

    def _cluster(self) -> tuple[str | None, dict[str, str]]:
        try:
            connection = BaseHook.get_connection(self.conn_id)
        except AirflowNotFoundException:
            return os.environ.get("RAY_ADDRESS") or None, {}
        host, token = connection.host or "", connection.password
        self._runtime_env = connection.extra_dejson.get("runtime_env", {})
        if host in ("", "local"):
            return None, {}
        address = f"{host}:{connection.port}" if connection.port else host
        return address, {"Authorization": f"Bearer {token}"} if token else {}

    def submit_job(self, context: Context) -> str:
        """Submit the job, or find the one that an earlier try submitted."""
        from schemas.night import load_config

        ti = context["ti"]
        base = submission_id(ti.dag_id, ti.run_id, ti.task_id, ti.map_index or -1, load_config(self.config).config_hash)
        metadata = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id}
        entrypoint = shlex.join(["python", "-u", "-m", self.module, "--config", self.config])
        return submit_or_attach(self._client, base, entrypoint, self._runtime_env, metadata)

    def get_job_status(self, external_id: str, context: Context) -> str:  # noqa: ARG002 - the mixin's signature
        """The job's status; UNKNOWN when the cluster has been restarted since."""
        return job_status(self._client, external_id) or "UNKNOWN"

    def is_job_active(self, status: str) -> bool:
        """Whether it can be followed."""
        return status in ACTIVE

    def is_job_succeeded(self, status: str) -> bool:
        """Whether it ended well."""
        return status == "SUCCEEDED"

    def poll_until_complete(self, external_id: str, context: Context) -> None:  # noqa: ARG002 - the mixin's
        """Stream the job's log until it ends."""
        self._submitted = external_id
        self.log.info("following Ray job %s", external_id)
        follow(self._client, external_id, self.log.info)

    def get_job_result(self, external_id: str, context: Context) -> None:
        """Results are tables; there is nothing else to hand over."""


def connect(address: str, headers: dict[str, str]) -> JobClient:
    """A client of a cluster's job API. Raises AirflowException when nothing answers there or the token is wrong."""
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address, headers=headers or None)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        raise AirflowException(
            f"the Ray job API does not accept us at {address} (is it the dashboard's URL? is the token right?): {error}"
        ) from error


def local_environment() -> dict[str, str]:
    """What a task on this machine needs beside what it inherits: this Python, and our packages."""
    folders = [str(HOME), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    scripts = os.path.dirname(sys.executable)
    return {
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON") or sys.executable,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(folders)),
    }
