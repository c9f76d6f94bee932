"""The operator against the job API of a real Ray cluster on this machine."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException

from dags.operators import RayTaskOperator, connect
from dags.processes import stop_tree
from dags.ray_jobs import follow, job_status, submit_or_attach

pytestmark = pytest.mark.ray
TOKEN = "a-token-of-thirty-two-characters"

CLUSTER = """\
import sys, ray
ray.init(num_cpus=1, include_dashboard=True, dashboard_host="127.0.0.1", dashboard_port={port}, _temp_dir={folder!r},
         object_store_memory=100_000_000, log_to_driver=False)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # A short path: sockets lie below it.
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        environment |= {"RAY_worker_niceness": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER.format(port=port, folder=folder)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert any(line.strip() == "ready" for line in process.stdout)
        url = f"http://127.0.0.1:{port}"
        while not takes_jobs(client_of(url)):  # the fixture's time limit ends a hang
            time.sleep(1)
        yield url
        stop_tree(process.pid)
        process.wait()


@pytest.fixture
def connection(address, tmp_path, monkeypatch):
    """The cluster as Airflow knows it, whose jobs find modules in `tmp_path`."""
    found = {
        "conn_type": "http",
        "host": address,
        "password": TOKEN,
        "extra": {"runtime_env": {"env_vars": {"PYTHONPATH": str(tmp_path)}}},
    }
    monkeypatch.setenv("AIRFLOW_CONN_RAY_DEFAULT", json.dumps(found))


def client_of(address):
    return connect(address, {"Authorization": f"Bearer {TOKEN}"})


def takes_jobs(client):
    """Whether the agent that runs jobs is up: it starts after the cluster says that it is ready."""
    try:
        client.submit_job(entrypoint="true")
    except RuntimeError as error:
        if "No available agent" not in str(error):
            raise
        return False
    return True


def command(code):
    return f"{sys.executable} -u -c '{code}'"


def test_a_job_runs_once_and_its_lines_arrive(address):
    client = client_of(address)
    entry = command('import time; print("one"); time.sleep(2); print("two")')
    name = submit_or_attach(client, "once", entry, {}, {})
    assert submit_or_attach(client, "once", entry, {}, {}) == name
    lines = []
    follow(client, name, lines.append, poll=0.2)
    assert [line for line in lines if line in ("one", "two")] == ["one", "two"]
    assert submit_or_attach(client, "once", entry, {}, {}) == "once-2"


def test_an_unknown_job_has_no_status(address):
    assert job_status(client_of(address), "never-submitted") is None


def test_a_wrong_token_is_told(address):
    with pytest.raises(AirflowException, match="is the token right"):
        connect(address, {"Authorization": "Bearer another"})


def test_a_kill_from_airflow_stops_the_job(connection, config_uri, tmp_path, monkeypatch):
    (tmp_path / "sleeper.py").write_text("import time\nprint('asleep', flush=True)\ntime.sleep(600)\n")
    task = RayTaskOperator(task_id="ranking", module="sleeper", config=config_uri)
    asleep = threading.Event()
    listen = SimpleNamespace(info=lambda line, *more: "asleep" in line and asleep.set(), warning=print)
    monkeypatch.setattr(type(task), "log", listen)
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="ranking", map_index=-1, stats_tags={})

    def kill():
        asleep.wait()  # as long as the cluster takes to start a job; the test's own time limit ends a hang
        task.on_kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(AirflowException, match="ended as STOPPED"):
        task.perform({"ti": ti, "task_state_store": None})
    killer.join()
