"""A comparison's result as table rows and plots: every figure is there once, and what is not known is left out."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from ray_tasks.benchmark.report.plot import gains_figure, lifts_figure
from ray_tasks.benchmark.rows import evaluation_rows
from schemas.contracts import audit
from schemas.tables import TABLES

STEAM = json.loads(Path(__file__).with_name("ranking-sample.json").read_text())
RESULT = {
    "models": {
        "nightrec": {
            "parameters": {"steps": 3.0},
            "seconds": 12.0,
            "metrics": {"ndcg@10": 0.3, "diversity@10": float("nan")},
            "slices": {"new users": {"users": 4, "ndcg@10": 0.1}},
            "clean_metrics": {"ndcg@10": 0.4},
            "clean_slices": {"1-5 items": {"users": 3, "recall@20": 0.25, "note": "few"}},
        },
        "ease": {"metrics": {"ndcg@10": 0.2}, "slices": {}, "clean_metrics": {"ndcg@10": 0.25}},
    },
    "users": 20,
    "clean_users": 15,
    "best_baseline": "ease",
    "lift": 0.5,
    "lift_ci": [0.25, 0.75],
    "lifts": {"ease": {"lift": 0.5, "ci": [0.25, 0.75], "p": 0.001}},
    "p_values": {"ease": 0.002},
    "text_lift": 0.1,
    "text_lift_ci": [-0.1, 0.3],
    "profile_lift": 0.02,
    "profile_lift_ci": [-0.01, 0.05],
    "explore_cost": 0.01,
    "explore_cost_ci": [0.005, 0.015],
    "clean_lift": 0.6,
    "ablations": {"no_trees": {"lift": 0.05, "ci": [0.0, 0.1]}},
    "ranker": {"all": {"trees": 7}},
    "what_comes_later": {"ndcg@10": 0.9},
}
LIFT = {"model": "nightrec", "protocol": "p2", "catalogue": "all", "slice": "all", "n_users": 20}


def figures(rows):
    return {
        (row["catalogue"], row["model"], row["slice"], row["metric"]): (row["value"], row["n_users"])
        for row in rows
        if not row["metric"].startswith("lift_over:")
    }


def test_every_figure_becomes_one_row_with_its_users():
    assert figures(evaluation_rows(RESULT, "p2")) == {
        ("all", "nightrec", "all", "ndcg@10"): (0.3, 20),
        ("all", "nightrec", "new_users", "ndcg@10"): (0.1, 4),
        ("all", "ease", "all", "ndcg@10"): (0.2, 20),
        ("clean", "nightrec", "all", "ndcg@10"): (0.4, 15),
        ("clean", "nightrec", "1-5_items", "recall@20"): (0.25, 3),
        ("clean", "ease", "all", "ndcg@10"): (0.25, 15),
    }


def test_lifts_have_their_intervals_and_corrected_p_values():
    rows = [row for row in evaluation_rows(RESULT, "p2") if row["metric"].startswith("lift") and row["n_users"] == 20]
    assert rows == [
        {**LIFT, "metric": "lift_over:ease", "value": 0.5, "low": 0.25, "high": 0.75, "p_value": 0.002},
        {**LIFT, "metric": "lift_over:explore", "value": 0.01, "low": 0.005, "high": 0.015, "p_value": None},
        {**LIFT, "metric": "lift_over:nightrec_documents", "value": 0.02, "low": -0.01, "high": 0.05, "p_value": None},
        {**LIFT, "metric": "lift_over:nightrec_no_text", "value": 0.1, "low": -0.1, "high": 0.3, "p_value": None},
        {**LIFT, "metric": "lift_over:nightrec_no_trees", "value": 0.05, "low": 0.0, "high": 0.1, "p_value": None},
    ]


@pytest.mark.parametrize("result", [RESULT, STEAM, {"models": {}}, {}], ids=["made", "steam", "no models", "nothing"])
def test_rows_keep_the_tables_contract(result):
    table = TABLES["benchmark_evaluations"]
    rows = evaluation_rows(result, "p1")
    assert bool(rows) == bool(result.get("models"))
    assert audit(table, ds.dataset(pa.Table.from_pylist(rows, schema=table.schema))) == []


def test_plots_show_every_model_and_every_lift():
    shown = [label.get_text() for label in gains_figure(STEAM).axes[0].get_yticklabels()]
    assert shown[0] == "Nightrec"
    assert len(shown) == len(STEAM["models"])
    drawn = lifts_figure(STEAM).axes[0]
    assert [label.get_text() for label in drawn.get_yticklabels()][-1] == "Nightrec without text"
    low, high = (100 * end for end in STEAM["clean_lift_ci"])
    assert any(list(line.get_xdata()) == [low, high] for line in drawn.lines)


def test_plots_of_nothing_are_empty():
    for figure in (gains_figure({}), lifts_figure({})):
        assert figure.axes[0].get_yticklabels() == []
