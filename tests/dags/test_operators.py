"""The operators run a task by name, tell why it failed, and tell the Assets what it published."""

import json
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException

from dags import operators, ray_jobs
from dags.assets import asset
from dags.operators import RayTaskOperator, SparkTaskOperator, local_environment
from fake_ray_cluster import FakeJobClient
from schemas.night import night_task

MODULE = """\
import os, sys
from schemas.night import night_task, task_arguments

with night_task("ranking", task_arguments("A small task")) as task:
    print("RAY_ADDRESS", os.environ.get("RAY_ADDRESS"))
    task.outputs["recommendations"] = {"version": 3, "rows": 60, "content_hash": "ab", "changed": True}
    FAILURE
"""


class FakeStore(dict):
    """Airflow's task state store, which outlives a try."""

    set = dict.__setitem__

    def delete(self, key):
        self.pop(key, None)


@pytest.fixture
def context():
    events = {asset(name): SimpleNamespace(extra={}) for name in ("recommendations", "offline_rankings")}
    ti = SimpleNamespace(
        dag_id="nightly_recommendations", run_id="manual__1", task_id="ranking", map_index=-1, stats_tags={}
    )
    return {"ti": ti, "outlet_events": events, "task_state_store": FakeStore()}


@pytest.fixture
def local(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_RAY_DEFAULT", json.dumps({"conn_type": "http", "host": "local"}))
    monkeypatch.setenv("RAY_ADDRESS", "http://elsewhere:8265")


@pytest.fixture
def cluster(monkeypatch):
    client = FakeJobClient()
    address = {"conn_type": "http", "host": "http://ray-head", "port": 8265, "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_RAY_DEFAULT", json.dumps(address))
    monkeypatch.setattr(ray_jobs, "POLL_SECONDS", 0)
    monkeypatch.setattr(follow_quickly := ray_jobs.follow, "__defaults__", (0,))
    assert follow_quickly is operators.follow
    client.connected = []
    monkeypatch.setattr(operators, "connect", lambda *where: client.connected.append(where) or client)
    return client


def operator(config_uri, module="small_task"):
    return RayTaskOperator(task_id="ranking", module=module, config=config_uri)


def write_module(tmp_path, monkeypatch, failure="pass"):
    (tmp_path / "small_task.py").write_text(MODULE.replace("FAILURE", failure))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_a_local_task_publishes_and_its_assets_know_what(tmp_path, monkeypatch, config_uri, context, local):
    write_module(tmp_path, monkeypatch)
    operator(config_uri).execute(context)
    assert context["outlet_events"][asset("recommendations")].extra == {
        "run_date": "2026-11-22",
        "version": 3,
        "rows": 60,
        "content_hash": "ab",
        "changed": True,
    }


def test_a_local_task_does_not_join_the_cluster_of_its_worker(tmp_path, monkeypatch, config_uri, context, local):
    write_module(tmp_path, monkeypatch)
    lines = []
    task = operator(config_uri)
    monkeypatch.setattr(type(task), "log", SimpleNamespace(info=lines.append))
    task.execute(context)
    assert "RAY_ADDRESS None" in lines


def test_a_task_that_ends_with_another_status_fails_with_its_last_lines(
    tmp_path, monkeypatch, config_uri, context, local
):
    write_module(tmp_path, monkeypatch, "raise OSError('disk full')")
    with pytest.raises(AirflowException, match="disk full") as failure:
        operator(config_uri).execute(context)
    assert not isinstance(failure.value, AirflowFailException)


def test_an_error_that_a_retry_cannot_mend_is_not_retried(tmp_path, monkeypatch, config_uri, context, local):
    write_module(tmp_path, monkeypatch, "from schemas.errors import ModelError; raise ModelError('no weights in /m')")
    with pytest.raises(AirflowFailException, match=r"^ModelError: no weights in /m$"):
        operator(config_uri).execute(context)


def test_an_error_of_an_earlier_attempt_is_not_blamed(tmp_path, monkeypatch, config_uri, context, local):
    from schemas.errors import ModelError

    with pytest.raises(ModelError), night_task("ranking", config_uri):
        raise ModelError("earlier")
    (tmp_path / "small_task.py").write_text("import os; os.kill(os.getpid(), 9)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AirflowException, match="SIGKILL") as failure:
        operator(config_uri).execute(context)
    assert not isinstance(failure.value, AirflowFailException)


def test_a_cluster_gets_the_module_under_the_tasks_own_id(config_uri, context, cluster):
    operator(config_uri).perform(context)
    (name,) = cluster.jobs
    assert name.startswith("nightrec-ranking-manual-1-")
    assert name.endswith("-1")
    assert cluster.jobs[name].entrypoint == f"python -u -m small_task --config {config_uri}"
    assert cluster.connected == [("http://ray-head:8265", {"Authorization": "Bearer secret"})]


def test_the_environment_names_the_cluster_when_no_connection_does(config_uri, context, cluster, monkeypatch):
    def absent(conn_id):
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr(operators.BaseHook, "get_connection", absent)
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    operator(config_uri).perform(context)
    assert cluster.connected == [("http://head:8265", {})]


def worker_dies(task, context, cluster, monkeypatch, at):
    """Run a task whose worker is gone (no handler runs, no end is seen) when it reaches `at`."""

    def die(*arguments, **more):
        raise SystemExit("the worker is gone")

    with monkeypatch.context() as patch:
        patch.setattr(at[0], at[1], die)
        with pytest.raises(SystemExit):
            task.perform(context)


def test_a_restarted_worker_attaches_to_the_job_that_still_runs(config_uri, context, cluster, monkeypatch):
    worker_dies(operator(config_uri), context, cluster, monkeypatch, (operators, "follow"))
    operator(config_uri).perform(context)
    assert len(cluster.jobs) == 1


def test_a_worker_that_died_before_it_noted_the_job_finds_it_by_its_id(config_uri, context, cluster, monkeypatch):
    worker_dies(operator(config_uri), context, cluster, monkeypatch, (FakeStore, "set"))
    assert not context["task_state_store"]
    operator(config_uri).perform(context)
    assert len(cluster.jobs) == 1


def test_a_job_that_succeeded_while_no_worker_looked_is_not_run_again(config_uri, context, cluster, monkeypatch):
    worker_dies(operator(config_uri), context, cluster, monkeypatch, (operators, "follow"))
    next(iter(cluster.jobs.values())).status = "SUCCEEDED"
    operator(config_uri).perform(context)
    assert len(cluster.jobs) == 1


def test_a_retry_after_a_failed_job_submits_another(config_uri, context, cluster):
    cluster.end = "FAILED"
    with pytest.raises(AirflowException, match="ended as FAILED"):
        operator(config_uri).perform(context)
    cluster.end = "SUCCEEDED"
    operator(config_uri).perform(context)
    assert [job.status for job in cluster.jobs.values()] == ["FAILED", "SUCCEEDED"]


def test_a_task_that_is_cleared_after_its_success_runs_anew(config_uri, context, cluster):
    operator(config_uri).perform(context)
    operator(config_uri).perform(context)
    assert [name[-2:] for name in cluster.jobs] == ["-1", "-2"]


def test_without_a_state_store_the_id_alone_finds_the_job(config_uri, context, cluster, monkeypatch):
    context["task_state_store"] = None
    worker_dies(operator(config_uri), context, cluster, monkeypatch, (operators, "follow"))
    operator(config_uri).perform(context)
    assert len(cluster.jobs) == 1


def test_a_kill_stops_the_job(config_uri, context, cluster):
    task = operator(config_uri)
    original = cluster.tail_job_logs

    async def killed_meanwhile(name):
        task.on_kill()
        async for piece in original(name):
            yield piece

    cluster.tail_job_logs = killed_meanwhile
    with pytest.raises(AirflowException, match="ended as STOPPED"):
        task.perform(context)
    assert cluster.stopped == list(cluster.jobs)


def test_a_kill_ends_the_local_process(tmp_path, monkeypatch, config_uri, context, local):
    write_module(tmp_path, monkeypatch, "import time; print('ready', flush=True); time.sleep(99)")
    task = operator(config_uri)
    stop = SimpleNamespace(info=lambda line: task.on_kill() if line == "ready" else None)
    monkeypatch.setattr(type(task), "log", stop)
    with pytest.raises(AirflowException, match="was stopped"):
        task.execute(context)


def test_a_cluster_that_does_not_answer_is_named():
    with pytest.raises(AirflowException, match=r"http://127\.0\.0\.1:9"):
        operators.connect("http://127.0.0.1:9", {})


def test_spark_gets_the_file_of_the_task_and_the_local_environment(config_uri, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps({"conn_type": "spark", "host": "local[2]"}))
    task = SparkTaskOperator(task_id="ingest", config=config_uri)
    monkeypatch.setattr(operators.SparkSubmitOperator, "execute", lambda self, context: None)
    task.perform({})
    command = task._get_hook()._build_spark_submit_command(task.application)
    assert command[-3:] == [str(operators.HOME / "jobs" / "ingest.py"), "--config", config_uri]
    assert command[:3] == ["spark-submit", "--master", "local[2]"]
    assert task.env_vars["PYSPARK_PYTHON"]


def test_spark_on_a_cluster_keeps_the_clusters_environment(config_uri, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps({"conn_type": "spark", "host": "yarn"}))
    task = SparkTaskOperator(task_id="ingest", config=config_uri)
    monkeypatch.setattr(operators.SparkSubmitOperator, "execute", lambda self, context: None)
    task.perform({})
    assert not task.env_vars


def test_a_kill_ends_the_driver_that_spark_submit_started(config_uri):
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(99)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as submitted:
        driver = psutil.Process(int(submitted.stdout.readline()))
        task = SparkTaskOperator(task_id="ingest", config=config_uri)
        task._hook = SimpleNamespace(_submit_sp=submitted, on_kill=lambda: None, _is_yarn_cluster_mode=False)
        task._hook._is_kubernetes = False
        task.on_kill()
        driver.wait(10)
        assert submitted.wait(10) != 0


def test_local_tasks_use_this_python_and_these_packages(monkeypatch):
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    found = local_environment()
    assert found["PYSPARK_PYTHON"] == sys.executable
    assert found["PYTHONPATH"].startswith(str(operators.HOME))
