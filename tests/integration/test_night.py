"""The whole DAG through Airflow, with real Spark, Ray, models, Delta and MLflow, on a small shop."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars
import pytest
from deltalake import DeltaTable

import explanation_checker
import small_catalogue
from dags.steps import STEPS
from environment import environment
from schemas.manifest import read_manifest
from schemas.night import safe_name
from schemas.tables import OUTSIDE, TABLES

pytestmark = [pytest.mark.night, pytest.mark.timeout(1500)]
HOME = Path(__file__).parents[2]


@dataclass(frozen=True)
class Shop:
    """A configuration and the environment of its own lake, Airflow and MLflow."""

    config: Path
    lake: str
    environment: dict[str, str]

    def run(self, run_date: date, **params) -> dict:
        """Run a night and return its summary."""
        conf = json.dumps({"source": str(self.config), "run_date": run_date.isoformat(), **params})
        command = [sys.executable, "-m", "airflow", "dags", "test", "nightly_recommendations", "--conf", conf]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        log = done.stdout + done.stderr
        assert done.returncode == 0, log[-20_000:]
        summaries = sorted(Path(self.lake).glob("_runs/*/summary.json"), key=lambda path: path.stat().st_mtime)
        return json.loads(summaries[-1].read_text())

    def table(self, name: str, run_date: date = small_catalogue.RUN_DATE) -> polars.DataFrame:
        """A table as the manifest of a night names it."""
        version = read_manifest(self.lake, run_date).versions[name]
        return polars.read_delta(f"{self.lake}/{name}", version=version).filter(polars.col("run_date") == run_date)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    lake = str(folder / "lake")
    own = {
        "NIGHTREC_LAKE": lake,
        "NIGHTREC_MLFLOW": f"sqlite:///{folder}/mlflow.db",
        "AIRFLOW_HOME": str(folder / "airflow"),
    }
    base = {k: v for k, v in os.environ.items() if k not in own}
    variables = {**base, **environment(HOME), **own}
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=variables, check=True, capture_output=True)
    return Shop(small_catalogue.write(folder), lake, variables)


@pytest.fixture(scope="module")
def first(shop) -> dict:
    return shop.run(small_catalogue.RUN_DATE)


def test_every_table_is_in_the_manifest_and_opens_everywhere(shop, first):
    manifest = read_manifest(shop.lake, small_catalogue.RUN_DATE)
    assert set(manifest.versions) == set(TABLES) - {"runs", *OUTSIDE}
    for name, version in manifest.versions.items():
        table = DeltaTable(f"{shop.lake}/{name}", version=version)
        rows = table.to_pyarrow_table().num_rows
        files = [uri.removeprefix("file://") for uri in table.file_uris()]
        by_duckdb = duckdb.read_parquet(files).aggregate("count(*)").fetchall()[0][0] if files else 0
        assert rows == by_duckdb == polars.read_delta(f"{shop.lake}/{name}", version=version).height


def test_every_task_reads_and_publishes_what_its_documentation_says(shop, first):
    records = [
        json.loads(path.read_text())
        for path in Path(shop.lake).glob(f"_runs/{safe_name(first['run_id'])}/tasks/*.json")
    ]
    did = {r["name"]: (set(r["inputs"]), set(r["outputs"])) for r in records if r["name"] != "publish_night"}
    assert did == {name: (set(STEPS[name].reads), set(STEPS[name].publishes)) for name in did}
    assert set(did) == set(STEPS) - {"freeze_config", "publish_night"}


def test_rows_in_are_rows_out_plus_quarantined_and_each_has_its_reason(shop, first):
    quarantine = shop.table("quarantine").filter(polars.col("entity") == "interactions")
    events = small_catalogue.USERS * small_catalogue.EVENTS_PER_USER
    assert shop.table("interactions").height == events
    reasons = dict(quarantine.group_by("reason").agg(polars.col("rows").sum()).iter_rows())
    assert sum(reasons.values()) == 6
    assert first["rows_in"]["interactions"] == events + 6
    assert len(reasons) == 6


def test_profiles_are_written_by_the_model_within_the_budget(shop, first):
    profiles = shop.table("item_profiles")
    assert profiles.height == small_catalogue.ITEMS
    assert (profiles["source"] == "llm").sum() > 0
    spent = sum(
        int(shop.table(f"{kind}_profiles").select(polars.sum_horizontal("prompt_tokens", "output_tokens")).sum().item())
        for kind in ("item", "user")
    )
    assert 0 < spent <= 4000
    assert not profiles["summary"].str.contains("HACKED").any()


def test_every_user_gets_an_explained_list_without_seen_items(shop, first):
    lists = shop.table("recommendations")
    assert lists["user_id"].n_unique() == small_catalogue.USERS
    assert (lists.group_by("user_id").len()["len"] == 5).all()
    seen = shop.table("interactions").select("user_id", "item_id")
    assert lists.join(seen, on=["user_id", "item_id"]).height == 0
    assert shop.table("explanations").join(lists, on=["user_id", "item_id", "rank"]).height == lists.height


def test_no_explanation_says_more_than_its_evidence_and_the_model_phrases_the_first_places(shop, first):
    outcome = explanation_checker.check(shop.lake, small_catalogue.RUN_DATE)
    assert outcome["rows"] == 5 * small_catalogue.USERS
    assert outcome["first"] == []
    explanations = shop.table("explanations")
    phrased = explanations.filter(polars.col("source") == "llm")
    assert phrased.height > 0
    assert set(phrased["rank"]) <= {1, 2, 3}
    paid = phrased.unique("generation_key").select(polars.sum_horizontal("prompt_tokens", "output_tokens")).sum().item()
    assert 0 < paid <= 1500
    assert not phrased["text"].str.contains("HACKED").any()
    assert shop.table("taste_summaries").height == small_catalogue.USERS


def test_requests_are_answered_as_they_were_meant_and_hostile_ones_with_the_users_own_list(shop, first):
    parsed = {row["user_id"]: row for row in shop.table("parsed_requests").to_dicts()}
    assert set(parsed) == {"u1", "u2"}
    assert (parsed["u1"]["include"], parsed["u1"]["exclude"]) == (["space adventure"], ["haunted house"])
    assert (parsed["u1"]["outside"], parsed["u2"]["outside"]) == (None, "hostile")
    lists = shop.table("request_recommendations")
    themes = shop.table("items").select("item_id", "categories")
    asked = lists.filter(polars.col("user_id") == "u1").join(themes, on="item_id")
    assert asked.height == 10
    assert all("Space Adventure" in own and "Haunted House" not in own for own in asked["categories"])
    own = shop.table("recommendations").filter(polars.col("user_id") == "u2").sort("rank")
    personal = lists.filter(polars.col("user_id") == "u2").sort("rank")
    assert personal["item_id"].to_list() == own["item_id"].to_list()
    assert set(personal["source"]) == {"personal"}


def test_the_ranker_is_no_worse_than_chance_and_is_compared_with_the_baselines(shop, first):
    evaluations = shop.table("evaluations").filter(polars.col("slice") == "all", polars.col("metric") == "ndcg@10")
    by_model = dict(zip(evaluations["model"], evaluations["value"], strict=True))
    assert {"ranker", "ease", "popularity_recent", "popularity_all_time"} <= set(by_model)
    assert by_model["ranker"] > 0.05


def test_a_rerun_generates_nothing_and_publishes_the_same_content(shop, first):
    before = read_manifest(shop.lake, small_catalogue.RUN_DATE)
    again = shop.run(small_catalogue.RUN_DATE)
    after = read_manifest(shop.lake, small_catalogue.RUN_DATE)
    assert again["profiles"]["items"]["written"] == again["profiles"]["users"]["written"] == 0
    assert again["explanations"]["written"] == 0
    assert after.tables == before.tables
    assert set(again["unchanged_tables"]) >= set(TABLES) - {"runs", *OUTSIDE}


def test_the_next_night_reuses_every_profile_that_did_not_change(shop, first):
    written = shop.table("item_profiles").filter(polars.col("source") == "llm")
    tomorrow = small_catalogue.RUN_DATE + timedelta(days=1)
    summary = shop.run(tomorrow, nightly_token_budget=0)
    kept = shop.table("item_profiles", tomorrow).join(written, on=["item_id", "generation_key", "summary"])
    assert kept.height == written.height
    assert summary["profiles"]["items"]["reused"] >= written.height
    assert read_manifest(shop.lake, small_catalogue.RUN_DATE).versions


def test_the_report_stands_alone(shop, first):
    pages = sorted(Path(shop.lake).glob("_runs/*/report.html"))
    text = pages[0].read_text()
    assert "<script src" not in text
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://127.0.0.1", "")
    assert "small-shop" in text
