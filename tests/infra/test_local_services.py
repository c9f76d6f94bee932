"""The local environment and services: nothing of the caller's is lost, nothing is readable by others."""

import ast
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import environment as environment_module
import services
from environment import environment

HOME = Path("/checkout")


def test_what_the_caller_has_set_is_kept(monkeypatch):
    monkeypatch.setenv("NIGHTREC_LAKE", "s3://bucket/lake")
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "yarn"}')
    found = environment(HOME)
    assert found["NIGHTREC_LAKE"] == "s3://bucket/lake"
    assert json.loads(found["AIRFLOW_CONN_SPARK_DEFAULT"])["host"] == "yarn"


def test_defaults_lie_below_the_checkout(monkeypatch):
    for name in ("NIGHTREC_LAKE", "NIGHTREC_MLFLOW", "AIRFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)
    found = environment(HOME)
    assert found["NIGHTREC_LAKE"] == "/checkout/build/lake"
    assert found["AIRFLOW_HOME"] == "/checkout/build/airflow"
    assert found["NIGHTREC_MLFLOW"] == "sqlite:////checkout/build/mlflow.db"


def test_this_python_and_this_checkout_come_first(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/other")
    found = environment(HOME)
    assert found["PYTHONPATH"] == "/checkout:/other"
    assert found["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_asking_twice_gives_the_same(monkeypatch):
    first = environment(HOME)
    for name, value in first.items():
        monkeypatch.setenv(name, value)
    assert environment(HOME) == first


def test_spark_is_local_without_a_connection(monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SPARK_DEFAULT", raising=False)
    assert json.loads(environment(HOME)["AIRFLOW_CONN_SPARK_DEFAULT"])["host"].startswith("local[")


def test_the_environment_is_read_before_anything_is_installed():
    tree = ast.parse(Path(environment_module.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= set(sys.stdlib_module_names)


def test_secrets_are_made_once_and_only_for_their_owner(tmp_path):
    made = iter("ab")
    path = services.secret_file(tmp_path / "airflow" / "passwords.json", lambda: {"admin": next(made)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    services.secret_file(path, lambda: {"admin": next(made)})
    assert json.loads(path.read_text()) == {"admin": "a"}


@pytest.fixture
def sleeper(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "LOGS", tmp_path)
    monkeypatch.setattr(services, "RUN", tmp_path)
    service = services.Service("sleeper", (sys.executable, "-c", "import time; time.sleep(99)"))
    yield service
    service.stop()


def test_a_service_starts_once_and_stops(sleeper):
    assert sleeper.process() is None
    sleeper.start(dict(os.environ))
    pid = sleeper.process().pid
    sleeper.start(dict(os.environ))
    assert sleeper.process().pid == pid
    assert sleeper.stop()
    assert sleeper.process() is None
    assert not sleeper.stop()


def test_another_process_with_the_same_id_is_left_alone(sleeper):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"]) as other:
        sleeper.pid_file.write_text(json.dumps({"pid": other.pid, "created": 1.0}))
        assert sleeper.process() is None
        assert not sleeper.stop()
        assert other.poll() is None
        other.kill()


def test_every_service_listens_on_this_machine_only():
    for service in services.services():
        if service.port:
            assert service.command[service.command.index("--host") + 1] == "127.0.0.1"
