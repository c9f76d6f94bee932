"""Start and stop Airflow and MLflow on this machine: `make up`, `make down`.

Everything listens on 127.0.0.1 only. Logs are in build/logs, process ids in build/run, and the password of the
user `admin`, made on the first start, in build/airflow/passwords.json. `AIRFLOW_PORT` and `MLFLOW_PORT` move the ports.
"""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from dags.processes import stop_tree
from environment import environment

HOME = Path(__file__).resolve().parents[2]
LOGS, RUN = HOME / "build" / "logs", HOME / "build" / "run"
AIRFLOW_PORT = int(os.environ.get("AIRFLOW_PORT", "8080"))
MLFLOW_PORT = int(os.environ.get("MLFLOW_PORT", "5000"))
AIRFLOW_URL, MLFLOW_URL = f"http://127.0.0.1:{AIRFLOW_PORT}", f"http://127.0.0.1:{MLFLOW_PORT}"
PATIENCE_SECONDS = 180
DAG = "nightly_recommendations"


class ServiceFailed(Exception):
    """A service did not start; the message says which, and what its log ends with."""


@dataclass(frozen=True)
class Service:
    """A process that runs in the background, and the port that it takes, if any."""

    name: str
    command: tuple[str, ...]
    port: int | None = None

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return LOGS / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Where its process id is noted, with the process's start, because ids are used again."""
        return RUN / f"{self.name}.pid"

    def process(self) -> psutil.Process | None:
        """The running process."""
        try:
            noted = json.loads(self.pid_file.read_text())
            process = psutil.Process(noted["pid"])
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        alive = process.create_time() == noted["created"] and process.status() != psutil.STATUS_ZOMBIE
        return process if alive else None

    def start(self, variables: dict[str, str]) -> None:
        """Start it, unless it runs. Raises ServiceFailed when somebody else has its port."""
        if self.process():
            return
        if self.port and in_use(self.port):
            raise ServiceFailed(
                f"{self.name}: port {self.port} is taken by another program; "
                f"choose another: AIRFLOW_PORT=8081 MLFLOW_PORT=5001 make up"
            )
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                self.command, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        created = psutil.Process(started.pid).create_time()
        self.pid_file.write_text(json.dumps({"pid": started.pid, "created": created}))

    def stop(self) -> bool:
        """End it and all that it started; returns whether it ran."""
        process = self.process()
        if process:
            stop_tree(process.pid)
        self.pid_file.unlink(missing_ok=True)
        return process is not None

    def tail(self, lines: int = 25) -> str:
        """The last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        return "\n".join(text.splitlines()[-lines:])


def services() -> list[Service]:
    """All services, in the order in which they start."""
    airflow = (sys.executable, "-m", "airflow")
    here = ("--host", "127.0.0.1", "--port")
    store = environment(HOME)["NIGHTREC_MLFLOW"]
    mlflow = ("server", *here, str(MLFLOW_PORT), "--workers", "1", "--backend-store-uri", store)
    artifacts = ("--artifacts-destination", str(HOME / "build" / "mlflow-artifacts"))
    found = [
        Service("api-server", (*airflow, "api-server", *here, str(AIRFLOW_PORT), "--workers", "1"), AIRFLOW_PORT),
        # Their log servers would listen on every interface; with all on one machine the files are read directly.
        Service("scheduler", (*airflow, "scheduler", "--skip-serve-logs")),
        Service("dag-processor", (*airflow, "dag-processor")),
        Service("triggerer", (*airflow, "triggerer", "--skip-serve-logs")),
    ]
    if not store.startswith("http"):  # Else MLflow runs elsewhere.
        found.append(Service("mlflow", (sys.executable, "-m", "mlflow", *mlflow, *artifacts), MLFLOW_PORT))
    return found


def scheduler_runs() -> bool:
    """Whether a scheduler works on this machine's Airflow database: it would also run what `dags test` runs there."""
    return any(service.process() for service in services() if service.name == "scheduler")


def in_use(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def variables() -> dict[str, str]:
    """The environment of the services: the local one, plus what only servers need."""
    found = {**os.environ, **environment(HOME)}
    airflow_home = Path(found["AIRFLOW_HOME"])
    passwords = secret_file(airflow_home / "passwords.json", lambda: {"admin": secrets.token_urlsafe(12)})
    keys = secret_file(airflow_home / "keys.json", lambda: {"jwt": secrets.token_hex(32), "api": secrets.token_hex(32)})
    return {
        # The first scheduled night is tomorrow's: starting the services starts no work.
        "NIGHTREC_START_DATE": datetime.now(UTC).date().isoformat(),
        **found,
        "AIRFLOW__API__BASE_URL": AIRFLOW_URL,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{AIRFLOW_URL}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API_AUTH__JWT_SECRET": json.loads(keys.read_text())["jwt"],
        "AIRFLOW__API__SECRET_KEY": json.loads(keys.read_text())["api"],
    }


def secret_file(path: Path, make: Callable[[], dict[str, str]]) -> Path:
    """A JSON file that only its owner may read, made on the first call."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        path.touch(mode=0o600)
        path.write_text(json.dumps(make()))
    return path


def up() -> None:
    """Start what does not run, wait until all of it answers, and tell how to log in."""
    for folder in (LOGS, RUN):
        folder.mkdir(parents=True, exist_ok=True)
    settings = variables()
    missing = [service for service in services() if not service.process()]
    if missing:
        print("Preparing Airflow's database", flush=True)
        migrate(settings)
    try:
        for service in missing:
            print(f"Starting {service.name}", flush=True)
            service.start(settings)
        wait_until_healthy()
    except ServiceFailed:
        for service in missing:
            service.stop()
        raise
    password = json.loads(Path(settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).read_text())["admin"]
    print(f"\nAirflow  {AIRFLOW_URL}/dags/{DAG}   user admin, password {password}")
    print(f"MLflow   {MLFLOW_URL if settings['NIGHTREC_MLFLOW'][:4] != 'http' else settings['NIGHTREC_MLFLOW']}")
    print(f"Logs     {LOGS}\nStop with `make down`.")


def migrate(settings: dict[str, str]) -> None:
    """Create or upgrade Airflow's own database."""
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceFailed(f"`airflow db migrate` failed:\n{(done.stdout + done.stderr)[-4000:]}")


def wait_until_healthy() -> None:
    """Block until every service answers. Raises ServiceFailed with the log's end when one died or takes too long."""
    started = time.monotonic()
    while waiting := [service for service in services() if not answers(service)]:
        for service in waiting:
            if not service.process():
                raise ServiceFailed(f"{service.name} has stopped. Its log ends with:\n{service.tail()}")
        if time.monotonic() - started > PATIENCE_SECONDS:
            ends = "\n\n".join(f"--- {service.log}\n{service.tail()}" for service in waiting)
            raise ServiceFailed(f"not ready after {PATIENCE_SECONDS} s: {', '.join(s.name for s in waiting)}\n{ends}")
        time.sleep(2)


def answers(service: Service) -> bool:
    """Whether a service works, by its own account or by its heartbeat in Airflow's."""
    if service.name == "mlflow":
        return get(f"{MLFLOW_URL}/health") is not None
    health = json.loads(get(f"{AIRFLOW_URL}/api/v2/monitor/health") or "{}")
    part = {"api-server": "metadatabase", "dag-processor": "dag_processor"}.get(service.name, service.name)
    return bool(service.process()) and (health.get(part) or {}).get("status") == "healthy"


def get(url: str) -> str | None:
    """The body of an answer 200, else None."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - always http to 127.0.0.1
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def down() -> None:
    """Stop everything, with the tasks that are running."""
    stopped = [service.name for service in reversed(services()) if service.stop()]
    print(f"Stopped {', '.join(stopped)}" if stopped else "Nothing was running")


def main() -> int:
    """Start or stop; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down"])
    try:
        {"up": up, "down": down}[parser.parse_args().command]()
    except ServiceFailed as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
