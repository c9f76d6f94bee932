"""The Dockerfiles and the small scripts that the containers run."""

import json
import re
import shutil
import stat
import sys
import threading
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from infra.compose.write_passwords import main as write_passwords
from infra.docker.healthcheck import healthy

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted((ROOT / "infra" / "docker").glob("*/Dockerfile"))
SERVICES = yaml.safe_load((ROOT / "infra" / "compose" / "compose.yaml").read_text())["services"]


def instructions(path: Path) -> list[tuple[str, str]]:
    """A Dockerfile's instructions with their arguments, continued lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in text.splitlines() if line.strip()]


def arguments(path: Path, name: str) -> list[str]:
    return [argument for instruction, argument in instructions(path) if instruction == name]


def test_there_is_one_dockerfile_per_role():
    assert [path.parent.name for path in DOCKERFILES] == ["airflow", "mlflow", "ray", "spark"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda p: p.parent.name)
class TestDockerfile:
    def test_it_starts_from_the_same_pinned_base_as_the_others(self, path):
        assert arguments(path, "FROM") == arguments(DOCKERFILES[0], "FROM")
        assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", arguments(path, "FROM")[0])

    def test_it_installs_from_the_constraints_file(self, path):
        installs = [run for run in arguments(path, "RUN") if "pip install" in run]
        assert installs
        assert all("-c constraints.txt" in run for run in installs)

    def test_what_it_installs_beside_the_constraints_is_pinned(self, path):
        extras = re.findall(r'"([a-z0-9-]+[^"]*)"', " ".join(r for r in arguments(path, "RUN") if "pip install" in r))
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", extra) for extra in extras)

    def test_it_ends_as_an_ordinary_user(self, path):
        order = [name for name, _ in instructions(path)]
        assert arguments(path, "USER") == ["nightrec"]
        assert order.index("USER") > max(i for i, name in enumerate(order) if name in ("RUN", "COPY"))

    def test_it_has_a_health_check_and_says_where_it_listens(self, path):
        command = arguments(path, "HEALTHCHECK")[0]
        port = re.search(r"127\.0\.0\.1:(\d+)", command)[1]
        assert port in arguments(path, "EXPOSE")[0].split()

    def test_what_it_copies_exists_and_reaches_the_build(self, path):
        let_in = [p[1:] for p in (ROOT / ".dockerignore").read_text().split("\n") if p.startswith("!")]
        for copy in arguments(path, "COPY"):
            for source in copy.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch(source, pattern) for pattern in let_in), source

    def test_it_holds_no_secret(self, path):
        assert not re.search(r"(PASSWORD|SECRET|TOKEN|ACCESS_KEY)\w*=", path.read_text(), re.IGNORECASE)

    def test_its_command_is_installed(self, path):
        command = json.loads(arguments(path, "CMD")[0])
        assert shutil.which(command[0], path=str(Path(sys.executable).parent))


@pytest.mark.parametrize("role", ["airflow", "spark"])
def test_hadoops_s3_client_is_of_the_release_that_pyspark_bundles(role):
    import pyspark

    bundled = next((Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")).stem.rsplit("-", 1)[1]
    text = (ROOT / "infra" / "docker" / role / "Dockerfile").read_text()
    assert re.search(r"hadoop-aws:([\d.]+)", text)[1] == bundled


@pytest.mark.parametrize("name", [n for n, service in SERVICES.items() if "build" in service])
def test_commands_of_our_images_exist(name):
    service = SERVICES[name]
    first = service["command"][0]
    if first not in ("python", "bash"):
        assert shutil.which(first, path=str(Path(sys.executable).parent))
    texts = [str(w) for w in [*service["command"], *service.get("healthcheck", {}).get("test", [])]]
    for script in re.findall(r"\S+\.py\b", " ".join(texts)):
        assert (ROOT / script).is_file(), script


@pytest.mark.parametrize("name", [n for n, service in SERVICES.items() if "build" in service])
def test_mounted_folders_are_made_by_the_image_for_its_user(name):
    service = SERVICES[name]
    made = (ROOT / service["build"]["dockerfile"]).read_text()
    for mount in service.get("volumes", []):
        assert mount.split(":")[1] in made, mount


def test_the_database_script_can_be_run():
    script = ROOT / "infra" / "compose" / "postgres-init.sh"
    assert script.stat().st_mode & stat.S_IXUSR
    for name in ("AIRFLOW_DB_PASSWORD", "MLFLOW_DB_PASSWORD"):
        assert name in SERVICES["postgres"]["environment"]


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, *arguments):
        """Keep the test's output quiet."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_the_health_check_tells_good_from_bad_and_absent(server):
    assert healthy(f"{server}/good")
    assert not healthy(f"{server}/bad")
    assert not healthy("http://127.0.0.1:9/")


def test_the_health_check_refuses_other_schemes():
    with pytest.raises(SystemExit, match="http://"):
        healthy("file:///etc/hostname")


def test_the_password_file_is_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", "correct horse")
    path = tmp_path / "secrets" / "passwords.json"
    write_passwords(str(path))
    assert json.loads(path.read_text()) == {"admin": "correct horse"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
