"""The operator against the job API of a real Ray cluster on this machine."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException

from dags.operators import RayTaskOperator, connect
from dags.processes import stop_tree
from dags.ray_jobs import follow, job_status, submit_or_attach

pytestmark = pytest.mark.ray
TOKEN = "a-token-of-thirty-two-characters"

CLUSTER = (
    "--head --block --num-cpus 1 --port 0 --include-dashboard true --dashboard-host 127.0.0.1 "
    "--object-store-memory 100000000 --disable-usage-stats"
)


def free_ports(count):
    """Ports that nobody listens at: those by default are taken where another cluster runs on the machine."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


@pytest.fixture(scope="module")
def address():
    port, agent, client = map(str, free_ports(3))
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # A short path: sockets lie below it.
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        environment |= {"RAY_worker_niceness": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        places = ["--dashboard-port", port, "--dashboard-agent-listen-port", agent, "--ray-client-server-port", client]
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("ray")), "start", *CLUSTER.split(), *places, "--temp-dir", folder],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        while not takes_jobs(url):  # the fixture's time limit ends a hang
            assert process.poll() is None, process.stdout.read()
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


def takes_jobs(url):
    """Whether the cluster answers and the agent that runs jobs is up: it starts after the rest."""
    try:
        client_of(url).submit_job(entrypoint="true")
    except (AirflowException, ConnectionError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "No available agent" not in str(error):
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
