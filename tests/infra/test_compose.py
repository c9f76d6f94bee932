"""The compose file against itself, its .env.example, the Dockerfiles and the installed command-line tools."""

import json
import re
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "compose"
TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:[-?][^}]*)?\}")


def interpolated(node):
    """The file as compose sees it, with every required variable set to a word."""
    if isinstance(node, dict):
        return {key: interpolated(value) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolated(value) for value in node]
    if isinstance(node, str):
        filled = VARIABLE.sub(lambda m: m[2][2:] if (m[2] or "").startswith(":-") else "secret", node)
        return filled.replace("$$", "$")
    return node


COMPOSE = interpolated(yaml.safe_load(TEXT))
SERVICES = COMPOSE["services"]
ONE_SHOT = {name for name, service in SERVICES.items() if service.get("restart") == "no"}


def words(service) -> list[str]:
    """Entry point and command as one list."""
    return [str(w) for key in ("entrypoint", "command") for w in service.get(key, [])]


def listening(service) -> set[int]:
    """Ports that a service declares or names in its own command."""
    declared = [str(p).rsplit(":", 1)[-1] for p in [*service.get("expose", []), *service.get("ports", [])]]
    commanded = re.findall(r"port[= ](\d+)", " ".join(words(service)))
    return {int(port) for port in [*declared, *commanded]}


def endpoints(service) -> list[tuple[str, int]]:
    """Every host:port that a service's environment, command and health check mention."""
    environment = service.get("environment", {})
    joined = " ".join(
        [*map(str, environment.values()), *words(service), *service.get("healthcheck", {}).get("test", [])]
    )
    joined = re.sub(r"--allowed-hosts=\S+", "", joined)
    connections = [json.loads(v) for k, v in environment.items() if k.startswith("AIRFLOW_CONN_")]
    from_connections = [(c["host"].rsplit("/", 1)[-1], c["port"]) for c in connections]
    found = re.findall(r"(?:^|[\s/@=])([a-z0-9][a-z0-9.-]*):(\d{2,5})\b", joined)
    return [*from_connections, *((host, int(port)) for host, port in found)]


def test_every_variable_stands_in_the_example_and_every_secret_is_required():
    example = dict(re.findall(r"^(\w+)=(.*)$", (FOLDER / ".env.example").read_text(), re.MULTILINE))
    used = {name: (modifier or "") for name, modifier in VARIABLE.findall(TEXT)}
    assert used.keys() == example.keys()
    assert {n for n, value in example.items() if not value} == {n for n, m in used.items() if m.startswith(":?")}
    assert all(modifier == f":-{example[n]}" for n, modifier in used.items() if example[n])


def test_no_secret_is_written_down():
    secret = re.compile(r"(PASSWORD|SECRET|TOKEN|FERNET_KEY|ACCESS_KEY)(_KEY|_ID)?:\s+(?!\$\{)\S", re.IGNORECASE)
    assert not secret.findall(TEXT)
    assert ".env" in (FOLDER / ".gitignore").read_text().split()


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_pinned(name):
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.search(r"\d+\.\d+", tag), tag


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_built_has_its_dockerfile(name):
    build = SERVICES[name].get("build")
    if build:
        context = (FOLDER / build["context"]).resolve()
        assert context == ROOT
        assert (context / build["dockerfile"]).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_the_loopback_only(name):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


def test_no_published_port_is_taken_twice():
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", SERVICES)
def test_runs_as_an_ordinary_user(name):
    user = str(SERVICES[name]["user"]).split(":")[0]
    assert user not in ("root", "0")


@pytest.mark.parametrize("name", SERVICES)
def test_long_running_services_have_a_health_check(name):
    assert (name in ONE_SHOT) != ("healthcheck" in SERVICES[name])


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_waits_for_exists_and_can_become_true(name):
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert needed in SERVICES
        expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
        assert how == {"condition": expected}, needed


def test_no_service_waits_for_itself_through_others():
    def reach(name, seen=()):
        assert name not in seen, seen
        for needed in SERVICES[name].get("depends_on", {}):
            reach(needed, (*seen, name))

    for name in SERVICES:
        reach(name)


@pytest.mark.parametrize("name", SERVICES)
def test_every_address_is_a_service_that_listens_there(name):
    for host, port in endpoints(SERVICES[name]):
        target = SERVICES[name] if host in ("127.0.0.1", "0.0.0.0") else SERVICES[host]
        assert port in listening(target), f"{host}:{port}"


def test_addresses_are_found_at_all():
    assert ("postgres", 5432) in endpoints(SERVICES["airflow-scheduler"])
    assert ("spark-master", 7077) in endpoints(SERVICES["airflow-scheduler"])
    assert ("ray-head", 6379) in endpoints(SERVICES["ray-worker"])


def test_the_lake_is_the_same_for_all_who_touch_it():
    shared = ("NIGHTREC_LAKE", "NIGHTREC_MLFLOW", "NIGHTREC_ASSETS", "AWS_ENDPOINT_URL", "AWS_CONDITIONAL_PUT")
    seen = [
        tuple(SERVICES[name]["environment"][key] for key in shared)
        for name in ("airflow-scheduler", "spark-worker", "ray-head", "ray-worker")
    ]
    assert len(set(seen)) == 1
    bucket = SERVICES["s3-bucket"]["command"][-1]
    assert seen[0][0].startswith(f"s3://{bucket}/")


def test_ray_and_its_clients_share_token_mode():
    for name in ("ray-head", "ray-worker", "airflow-scheduler"):
        assert SERVICES[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert SERVICES[name]["environment"]["RAY_AUTH_TOKEN"]


def test_volumes_are_declared_and_mounted_files_exist():
    used = set()
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).is_file()
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_configuration_files_are_valid_where_they_are_json():
    identities = json.loads(COMPOSE["configs"]["s3-identities"]["content"])
    assert identities["identities"][0]["credentials"][0]["accessKey"] == "secret"


def test_airflow_settings_exist_in_the_installed_airflow():
    import airflow

    known = yaml.safe_load((Path(airflow.__file__).parent / "config_templates" / "config.yml").read_text())
    for name in SERVICES["airflow-scheduler"]["environment"]:
        if name.startswith("AIRFLOW__"):
            _, section, option = name.lower().split("__")
            assert option in known[section]["options"], name


def test_airflow_commands_exist():
    from airflow.cli.cli_config import core_commands

    known = {command.name for command in core_commands}
    commands = {name: words(service) for name, service in SERVICES.items() if words(service)[:1] == ["airflow"]}
    assert len(commands) == 4
    assert {command[1] for command in commands.values()} <= known


@pytest.mark.parametrize("name", ["ray-head", "ray-worker"])
def test_ray_flags_exist(name):
    from ray.scripts.scripts import start

    known = {flag for parameter in start.params for flag in parameter.opts}
    assert words(SERVICES[name])[:2] == ["ray", "start"]
    assert {word.split("=")[0] for word in words(SERVICES[name])[2:]} <= known


def test_mlflow_flags_exist():
    from mlflow.cli import server

    known = {flag for parameter in server.params for flag in parameter.opts}
    assert words(SERVICES["mlflow"])[:2] == ["mlflow", "server"]
    assert {word.split("=")[0] for word in words(SERVICES["mlflow"])[2:]} <= known


@pytest.mark.parametrize("name", ["spark-master", "spark-worker"])
def test_spark_classes_exist(name):
    import pyspark

    jar = next((Path(pyspark.__file__).parent / "jars").glob("spark-core_*.jar"))
    main = words(SERVICES[name])[1].replace(".", "/") + ".class"
    assert main in zipfile.ZipFile(jar).namelist()


def test_the_spark_connection_names_the_master():
    connection = json.loads(SERVICES["airflow-scheduler"]["environment"]["AIRFLOW_CONN_SPARK_DEFAULT"])
    assert f"{connection['host']}:{connection['port']}" == words(SERVICES["spark-worker"])[-1]


def test_the_ray_connection_is_the_heads_job_api():
    connection = json.loads(SERVICES["airflow-scheduler"]["environment"]["AIRFLOW_CONN_RAY_DEFAULT"])
    dashboard = next(word for word in words(SERVICES["ray-head"]) if word.startswith("--dashboard-port="))
    assert connection["host"] == "http://ray-head"
    assert connection["port"] == int(dashboard.split("=")[1])
