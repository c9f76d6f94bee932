"""The report of a small, made-up night: what is written, what it says, and that titles stay data."""

import re
from datetime import timedelta

import pytest

from jobs.report.__main__ import report
from jobs.report.profile_samples import spread
from jobs.report.samples import choose_users
from made_up_night import NIGHT, USERS, cost_rows, make_config, make_night, make_report, title, unclosed_tags
from schemas.night import night_task, run_folder, save_config
from schemas.storage import read_text
from schemas.tables import OUTSIDE, TABLES


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Two nights, the second a better one; the summary and page of the second."""
    folder = tmp_path_factory.mktemp("night")
    before = make_config(folder, NIGHT - timedelta(days=1), "earlier")
    make_report(before, level=0.08, costs=cost_rows(saved=0))
    config = make_config(folder)
    return config, *make_report(config)


def test_the_summary_holds_the_nights_figures(night):
    config, summary, _ = night
    assert summary["status"] == "success"
    assert summary["rows_balanced"] == dict.fromkeys(("interactions", "items", "users", "requests"), True)
    assert summary["best_single_source"] == "ease"
    assert summary["ranker_vs_best"]["ratio"] == pytest.approx(1 / 0.94)
    assert summary["tokens"]["spent"] == 2 * (44_100 + 9_870)
    assert summary["counts"]["users_served"] == USERS
    assert summary["counts"]["serving_candidates"] == USERS * 30
    assert summary["published"]["sequence"] == 2
    assert summary["published"]["tables"] == len(TABLES) - len(("runs", *OUTSIDE))
    assert summary["config_hash"] == config.config_hash


def test_the_page_is_self_contained_and_runs_no_script(night):
    page = night[2]
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)|url\(|@import""", page)
    assert "default-src 'none'" in page


def test_a_large_catalogue_says_what_the_dense_sources_leave_to_factors(night):
    assert "cover 15,000 of them; iALS, from factors that Spark fitted" in night[2]
    assert "covers 30,000" in night[2]


def test_a_title_with_markup_is_shown_as_text(night):
    page = night[2]
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; Sons" in page
    assert "<b>nothing</b>" not in page


def test_the_page_shows_ten_users_with_titles_and_explanations(night):
    page = night[2]
    assert len(re.findall(r"<b>User u\d\d</b>\s*<span class=\"small soft activity\">", page)) == 10
    assert "Because you watched" in page
    assert title(3) in page


def test_the_page_compares_with_the_night_before(night):
    page = night[2]
    assert "+12.5% since 22 Apr" in page
    assert "NDCG@10 over nights by model" in page


def test_every_tag_of_the_page_is_closed(night):
    assert unclosed_tags(night[2]) == []


def test_mlflow_has_one_run_per_night_with_the_evidence(night):
    from mlflow import MlflowClient

    config, summary, _ = night
    client = MlflowClient(tracking_uri=config.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("nightrec/made-up")
    run = client.get_run(summary["mlflow"]["run_id"])
    assert run.info.run_name == "1998-04-23"
    assert run.data.metrics["ndcg_10_ranker"] == pytest.approx(0.09)
    assert run.data.metrics["seconds.ranking"] == pytest.approx(18.4)
    assert run.data.params["ranking.top_k"] == "20"
    assert run.data.tags["nightrec.table.recommendations"] == str(summary["tables"]["recommendations"]["version"])
    assert {d.dataset.name for d in run.inputs.dataset_inputs} == set(summary["tables"])
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "report.html", "summary.json", "plots"} <= names
    assert experiment.artifact_location.endswith("/tracking/artifacts/nightrec/made-up")
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_mlflow_has_one_run_per_experiment_whose_lines_grow_by_a_point_a_night(night):
    from mlflow import MlflowClient

    config, *_ = night
    client = MlflowClient(tracking_uri=config.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("nightrec/made-up/experiments")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "diversity"
    assert run.data.tags["nightrec.verdict.varied"] == "varied is better: CTR +5.1% (1.2 to 9.0)"
    points = client.get_metric_history(run.info.run_id, "varied.ctr.lift")
    assert [(point.step, point.value) for point in points] == [(6, 0.051)] * 2
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id, "plots")] == ["plots/lifts.png"]


def test_the_page_tells_who_wrote_an_explanation_and_what_other_orders_would_earn(night):
    page = night[2]
    assert '<p class="why">Because you watched' in page
    assert '<span class="badge llm">model</span></p>' in page
    assert "Told to the user" in page
    assert "By the model: 21 written, 7 reused, 12 over budget; 3,250 of 8,000 tokens; refused: misnamed item 2" in page
    assert "as the challenger has them" in page
    assert "0.0430 to 0.0510" in page


def test_a_rerun_says_so_and_goes_into_the_same_mlflow_run(tmp_path):
    from mlflow import MlflowClient

    first, _ = make_report(make_config(tmp_path))
    again, page = make_report(make_config(tmp_path, run_id="second"))
    assert again["same_content"]
    assert again["published"] == first["published"]
    assert set(again["unchanged_tables"]) == set(again["tables"]) - {"runs"}
    assert "same content as before" in page
    assert again["mlflow"]["run_id"] == first["mlflow"]["run_id"]
    run = MlflowClient(tracking_uri=first["mlflow"]["tracking_uri"]).get_run(first["mlflow"]["run_id"])
    assert run.data.tags["nightrec.attempts"] == "2"
    assert run.data.tags["nightrec.run_id"] == "second"


def test_a_half_failed_night_still_has_a_report(tmp_path):
    config = make_config(tmp_path)
    uri = make_night(config, tasks=("ingest", "features"))
    with pytest.raises(RuntimeError), night_task("item_profiles", uri):
        raise RuntimeError("the <model> file is corrupted")
    with night_task("report", uri) as task:
        summary = report(task)
    page = read_text(summary["report"])
    assert summary["status"] == "failed"
    assert summary["published"] is None
    assert "ranking" in summary["missing"]["tasks"]
    assert "the &lt;model&gt; file is corrupted" in page
    assert "No evaluation was published" in page


def test_a_night_without_any_record_still_has_a_report(tmp_path):
    config = make_config(tmp_path)
    with night_task("report", save_config(config)) as task:
        summary = report(task)
    assert summary["status"] == "incomplete"
    assert "Tasks did not run" in read_text(summary["report"])


def test_a_tracking_server_that_is_down_fails_the_task_but_not_the_report(tmp_path, monkeypatch):
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    config = make_config(tmp_path, mlflow_tracking_uri="http://127.0.0.1:9")
    with pytest.raises(MlflowException), night_task("report", make_night(config)) as task:
        report(task)
    assert "Ten users" in read_text(f"{run_folder(config.lake, config.run_id)}/report.html")


def test_reporting_twice_gives_the_same_page(tmp_path):
    config = make_config(tmp_path)
    _, first = make_report(config)
    with night_task("report", f"{run_folder(config.lake, config.run_id)}/config.json") as task:
        report(task)
    assert read_text(f"{run_folder(config.lake, config.run_id)}/report.html") == first


def test_users_are_sampled_from_every_tenth_of_activity_and_described_ones_preferred():
    activity = [{"user_id": f"u{n:03d}", "n_items": n + 1} for n in range(100)]
    chosen = choose_users(activity, {f"u{n:03d}" for n in range(0, 100, 10)})
    assert [user["n_items"] for user in chosen] == list(range(1, 101, 10))
    assert [user["user_id"] for user in choose_users(activity[:3], set())] == ["u000", "u001", "u002"]
    assert choose_users([], set()) == []


def test_spread_keeps_both_ends_and_never_repeats():
    assert spread([1, 2, 3, 4, 5], 3) == [1, 3, 5]
    assert spread([1, 2], 3) == [1, 2]
    assert spread([], 3) == []
