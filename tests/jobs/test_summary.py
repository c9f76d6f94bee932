"""The night's figures from task records, and the text that a terminal shows of them."""

import json
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.report.checks import night_checks
from jobs.report.figures import metric_tree
from jobs.report.history import earlier_nights
from jobs.report.summary import FLOW, build_summary
from jobs.report.summary_text import load_summary, render_text
from jobs.report.tracking import flatten, metrics_of
from schemas.config import freeze
from schemas.source_config import ENTITIES
from schemas.tables import OUTSIDE, TABLES

ENTITY = {"format": "csv", "path": "unused.csv"}
SOURCE = {
    "name": "made-up",
    "interactions": {**ENTITY, "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
    "items": {**ENTITY, "columns": {"item_id": "i", "title": "t"}},
}
CONFIG = freeze(
    {
        "source": SOURCE,
        "lake": "lake",
        "mlflow_tracking_uri": "sqlite:///x.db",
        "generator": {"path": "g"},
        "encoder": {"path": "e"},
    },
    run_id="run",
    run_date=date(2026, 11, 22),
)


def record(name, started=0.0, status="success", changed=True, outputs=None, counters=None):
    made = {
        t: {"version": 3, "rows": n, "content_hash": "0" * 64, "changed": changed} for t, n in (outputs or {}).items()
    }
    return {
        "name": name,
        "status": status,
        "error": "ModelError: no such file" if status == "failed" else None,
        "attempt": 1,
        "started": started,
        "seconds": 10.0,
        "cpu_seconds": 12.0,
        "peak_rss_mb": 500,
        "inputs": {},
        "outputs": made,
        "counters": counters or {},
    }


def whole_night(changed=True, **changes):
    """Records of a whole night, every table published by the first task."""
    tables = dict.fromkeys((t for t in TABLES if t not in ("runs", *OUTSIDE)), 1_234_567_890)
    ingest = {
        "rows_in": dict.fromkeys(ENTITIES, 1_234_567_895),
        "rows_out": dict.fromkeys(ENTITIES, 1_234_567_890),
        "quarantined": {entity: {f"some_reason_{n}": 1 for n in range(5)} for entity in ENTITIES},
    }
    profiles = {
        "written": 0 if not changed else 5,
        "reused": 7,
        "fallback": {f"reason_{n}": n for n in range(9)},
        "rejected": {f"check_{n}": n for n in range(9)},
        "retried": 4,
        "prompt_tokens": 100,
        "output_tokens": 20,
        "generation_seconds": 3.5,
    }
    vocabularies = {"labels": {"theme": 60, "mood": 24, "aspect": 30}}
    counters = {"ingest": ingest, "vocabularies": vocabularies, "item_profiles": profiles, "user_profiles": profiles}
    records = {
        name: record(name, float(n), changed=changed, counters=counters.get(name), outputs=tables if not n else None)
        for n, name in enumerate(FLOW)
    }
    return records | changes


def evaluation(model, value, part="all", metric="ndcg@10", protocol="time_split"):
    return {"model": model, "protocol": protocol, "slice": part, "metric": metric, "value": value, "n_users": 9}


def test_rows_in_that_are_not_out_or_quarantined_are_called_out():
    counters = {"rows_in": {"items": 10}, "rows_out": {"items": 8}, "quarantined": {"items": {"null_id": 1}}}
    summary = build_summary(CONFIG, {"ingest": record("ingest", counters=counters)})
    assert summary["rows_balanced"] == {"items": False}
    assert "in = out + quarantined: WRONG for items" in render_text(summary)
    assert any(check.level == "bad" and check.title == "Rows were lost" for check in night_checks(summary, []))


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 100)), st.integers(0, 1_000))
def test_the_identity_holds_exactly_when_rows_add_up(reasons, out):
    total = out + sum(reasons.values())
    for rows_in in (total, total + 1):
        counters = {"rows_in": {"items": rows_in}, "rows_out": {"items": out}, "quarantined": {"items": reasons}}
        summary = build_summary(CONFIG, {"ingest": record("ingest", counters=counters)})
        assert summary["rows_balanced"]["items"] == (rows_in == total)


def test_the_best_single_source_is_never_the_ranker_and_ties_go_by_name():
    rows = [
        evaluation("ranker", 0.9),
        evaluation("ease", 0.5),
        evaluation("item_item", 0.5),
        evaluation("popularity", 0.1),
    ]
    summary = build_summary(CONFIG, {}, rows)
    assert summary["best_single_source"] == "ease"
    assert summary["ranker_vs_best"] == {"ranker": 0.9, "best": 0.5, "ratio": 1.8}


def test_a_ranker_below_a_single_source_is_a_warning():
    summary = build_summary(CONFIG, whole_night(), [evaluation("ranker", 0.4), evaluation("ease", 0.5)])
    assert "Ranker below a single source" in [
        check.title for check in night_checks(summary, []) if check.level == "warn"
    ]


def test_metrics_of_other_protocols_are_left_out():
    tree, sizes = metric_tree([evaluation("ease", 0.5), evaluation("ease", 0.9, protocol="leave_one_out")])
    assert tree == {"ease": {"all": {"ndcg@10": 0.5}}}
    assert sizes == {"all": 9}


def test_a_rerun_is_told_by_unchanged_tables_whatever_the_manifest_did():
    records = whole_night(changed=False)
    records["publish_night"] = record("publish_night", 99.0, outputs={"runs": 2})
    summary = build_summary(CONFIG, records)
    assert summary["same_content"]
    tables = len(TABLES) - len(("runs", *OUTSIDE))
    assert f"0 profiles generated; all {tables} tables identical to the last publication" in render_text(summary)
    records["ranking"] = record("ranking", 7.0, outputs={"recommendations": 5})
    assert not build_summary(CONFIG, records)["same_content"]


def test_records_of_an_earlier_attempt_do_not_count_as_done():
    records = whole_night(features=record("features", 1_000.0, status="failed"))
    summary = build_summary(CONFIG, records)
    states = {task["name"]: task["status"] for task in summary["tasks"]}
    assert summary["status"] == "failed"
    assert states["ingest"] == "success"
    assert states["ranking"] == "stale"
    assert "ranking" in summary["missing"]["tasks"]


@pytest.mark.parametrize("missing", [None, *FLOW])
def test_a_night_without_a_task_still_has_a_text(missing):
    records = {name: r for name, r in whole_night().items() if name != missing}
    summary = build_summary(CONFIG, records)
    assert summary["status"] == ("success" if missing in (None, "publish_night") else "incomplete")
    assert "NIGHTREC" in render_text(summary)


def test_the_fullest_text_fits_a_screen():
    models = ["ranker", "ease", "item_item", "text", "popularity", "popularity_all_time", "another", "and_another"]
    rows = [evaluation(m, 0.1, part) for m in models for part in ("all", "new_users", "new_items")]
    records = whole_night(evaluation=record("evaluation", 9.0, status="failed"))
    records["evaluation"]["error"] = "x" * 1_000 + "\nTraceback"
    text = render_text(build_summary(CONFIG, records, rows))
    assert len(text.splitlines()) <= 77
    assert max(map(len, text.splitlines())) <= 92
    assert text.isascii()


def test_the_text_needs_only_the_file_and_adds_the_reports_own_seconds(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(build_summary(CONFIG, whole_night())), encoding="utf-8")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "report.json").write_text(json.dumps(record("report", 50.0)), encoding="utf-8")
    assert load_summary(path)["tasks"][-1]["name"] == "report"
    command = [sys.executable, "-m", "jobs.report.summary_text", str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == render_text(load_summary(path))


def test_earlier_nights_are_of_the_same_source_before_the_run_date_and_the_newest_run_each():
    def night(day, source="made-up", started="2026-11-22T00:00:00", run="a"):
        return {"run_date": f"2026-11-{day}", "source": source, "started_at": started, "run_id": run}

    found = earlier_nights(
        [
            night(23),
            night(22),
            night(20, run="old"),
            night(20, started="2026-11-23T00:00:00", run="new"),
            night(19, source="other"),
            night(18),
        ],
        CONFIG,
    )
    assert [(n["run_date"], n["run_id"]) for n in found] == [("2026-11-18", "a"), ("2026-11-20", "new")]


def test_a_metric_that_drops_since_the_night_before_is_a_warning():
    before, now = (build_summary(CONFIG, whole_night(), [evaluation("ranker", v)]) for v in (0.5, 0.4))
    assert [c.level for c in night_checks(now, [before]) if "night before" in c.title] == ["warn"]


def test_mlflow_names_are_allowed_and_values_are_numbers():
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    rows = [evaluation("ranker", 0.1), evaluation("ranker", 0.05, "new_users")]
    metrics = metrics_of(build_summary(CONFIG, whole_night(), rows))
    assert metrics["ndcg_10_ranker"] == 0.1
    assert metrics["ndcg_10_ranker.new_users"] == 0.05
    assert metrics["tokens.spent"] == 240
    for name in metrics:
        _validate_metric_name(name)
    parameters = flatten(CONFIG.model_dump(mode="json", exclude={"run_id"}))
    assert parameters["ranking.top_k"] == "20"
    for name in parameters:
        _validate_param_name(name)
