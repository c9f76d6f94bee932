"""Policies about the repository itself: what its texts claim is what its code has."""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from schemas.config import freeze
from schemas.lake import Lake
from schemas.storage import resolve
from schemas.tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_SCREEN = README.split("\n## ")[0]
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def files() -> list[Path]:
    """Every file that is, or is about to be, part of the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", FIRST_SCREEN, re.DOTALL)[1]


# What the README claims


def test_the_readme_lists_every_table_and_no_other():
    listed = re.findall(r"^\| \[`(\w+)`\]\(docs/tables\.md#(\w+)\)", README, re.MULTILINE)
    assert listed == [(name, name) for name in TABLES]


def test_the_first_screen_answers_in_order():
    marks = ["make nightly", "make test", "docs/images/flow.svg", "docs/images/report.png", "```python", "```yaml"]
    places = [FIRST_SCREEN.index(mark) for mark in marks]
    assert places == sorted(places)
    assert len(FIRST_SCREEN.splitlines()) <= 70


def test_the_shortest_configuration_is_valid(monkeypatch):
    monkeypatch.setenv("NIGHTREC_ASSETS", "assets")
    config = freeze(yaml.safe_load(block("yaml")), run_date="2026-11-22", lake="lake", mlflow_tracking_uri="none")
    assert config.source.items.columns.categories.split == "|"


def test_one_users_recommendations_are_found_as_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    night = date(1998, 4, 23)
    first = [
        publish("explanations", [explained("405", 2, "i2", "second"), explained("405", 1, "i1", "first")], night),
        publish("items", [item("i1", "Chair"), item("i2", "Table")], night),
    ]
    publish("explanations", [explained("405", 1, "i1", "of another night")], date(1998, 4, 24))
    entries = [{"table": p.table, "version": p.version, "rows": p.rows, "content_hash": p.content_hash} for p in first]
    stamp = {"published_at": datetime(1998, 4, 23, tzinfo=UTC), "config_hash": "h", "code_version": "0"}
    publish("runs", [{"run_id": "r", "sequence": 1, "tables": entries, **stamp}], night)
    exec(compile(block("python"), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.findall(r"┆ (\w+) +┆ (\w+) +│", printed)[2:] == [("Chair", "first"), ("Table", "second")]


def explained(user: str, rank: int, item: str, text: str) -> dict:
    about = {"arm": "default", "source": "template", "statements": [], "evidence": []}
    return {
        "user_id": user,
        "rank": rank,
        "item_id": item,
        "text": text,
        "prompt_tokens": 0,
        "output_tokens": 0,
        **about,
    }


def item(item_id: str, title: str) -> dict:
    return {"item_id": item_id, "title": title}


def publish(table: str, rows: list[dict], night: date):
    lake = Lake("build/lake")
    stage = lake.stage(table, night, "try-1")
    filesystem, path = resolve(stage.uri)
    filesystem.create_dir(path, recursive=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[table].schema), f"{path}/part-0.parquet")
    return lake.publish(stage, lambda table, files: [], {"inputs": {}})


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", [*PAGES, ROOT / ".pre-commit-config.yaml"], ids=short)
def test_every_make_target_that_is_named_exists(path):
    named = re.findall(r"(?:`|^|run: )make ([a-z][a-z0-9-]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= targets()


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_links_within_the_repository_lead_somewhere(path):
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


# Generated and declared texts


def test_the_page_of_tables_is_current():
    spec = importlib.util.spec_from_file_location("generate_tables", ROOT / "docs" / "generate_tables.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.render(TABLES) == generator.TARGET.read_text(encoding="utf-8"), "run `make docs`"


def test_every_direct_dependency_has_a_reason_and_no_reason_is_left_over():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    page = (ROOT / "docs" / "adr" / "0009-dependencies.md").read_text()
    reasons = re.findall(r"^\| `([^`]+)` \| \S", page, re.MULTILINE)
    assert sorted(reasons) == sorted(declared)


def test_every_direct_dependency_is_pinned():
    pins = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    assert {d.split("[")[0].lower() for d in declared} <= {pin.lower() for pin in pins}


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_a_decision_says_when_it_is_violated(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Violated when"]
    assert text.startswith(f"# {path.stem[:4]} · ")
    assert path.name in (path.parent / "README.md").read_text()


def test_decisions_are_numbered_without_gaps():
    assert [path.name[:4] for path in ADRS] == [f"{n:04}" for n in range(1, len(ADRS) + 1)]


def test_the_license_is_the_unchanged_apache_license():
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


# Automation


def test_the_workflow_is_read_only_pinned_and_calls_make():
    path = ROOT / ".github" / "workflows" / "ci.yaml"
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(re.search(r"@v\d+\.\d+\.\d+$", step["uses"]) for step in steps if "uses" in step)
    commands = [step["run"] for step in steps if "run" in step]
    assert commands
    assert {command.removeprefix("make ") for command in commands} <= targets()


def test_pre_commit_uses_the_tools_of_the_environment():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    for hook in hooks:
        tool = re.search(r"\.venv/bin/(\S+)", hook["entry"])[1]
        assert shutil.which(tool, path=str(Path(sys.executable).parent)), hook["id"]


# The house rules


def test_no_file_names_a_path_of_one_machine():
    machine = re.compile(rb"(?<![\w.:])/(?:work|root|home/\w+|Users/\w+)/")
    found = [short(path) for path in files() if path.suffix != ".png" and machine.search(path.read_bytes())]
    assert found == []


def test_no_data_or_weights_are_committed():
    kinds = {".parquet", ".csv", ".inter", ".dat", ".safetensors", ".gguf", ".bin", ".whl", ".db", ".zip", ".gz"}
    assert [short(path) for path in files() if path.suffix in kinds] == []


def test_no_text_is_left_to_be_written():
    assert [short(path) for path in PAGES if "TODO" in path.read_text(encoding="utf-8")] == []


def test_no_job_is_named_after_a_library():
    names = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__"}
    elsewhere = [p for p in sys.path if p and Path(p).resolve() not in (ROOT, ROOT / "jobs")]
    finder = importlib.machinery.PathFinder
    assert [name for name in sorted(names) if finder.find_spec(name, elsewhere)] == []


def test_shipped_configurations_name_only_known_keys(monkeypatch):
    monkeypatch.setenv("NIGHTREC_ASSETS", "assets")
    paths = sorted((ROOT / "infra" / "configs").glob("*.yaml"))
    assert paths
    for path in paths:
        document = json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str))
        freeze({"run_date": "2026-11-22", **document}, str(path), lake="lake", mlflow_tracking_uri="none")
