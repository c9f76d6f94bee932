"""The page of a ranking benchmark: it says what the figures say, good or bad, and shows only what it was given."""

import copy
import json
import re

import pytest
from benchmark_sample import STEAM, full
from hypothesis import given
from hypothesis import strategies as st
from page_reader import Reader, table

from ray_tasks.benchmark.report.charts import Scale
from ray_tasks.benchmark.report.figures import Effect
from ray_tasks.benchmark.report.page import index, main, page

MINUS = "\N{MINUS SIGN}"
HOSTILE = '<script>alert("1")</script>&\'"'


def changed(**values) -> dict:
    return {**copy.deepcopy(STEAM), **values}


def smallest() -> dict:
    metrics = {"ndcg@10": 0.02}
    return {"models": {"nightrec": {"metrics": metrics}, "popularity": {"metrics": {"ndcg@10": 0.01}}}}


def lead(html: str) -> str:
    told = re.search(r'<p class="lede">(.*?)</p>', html, re.DOTALL)
    return " ".join(told[1].split())


def test_every_model_has_a_row_in_every_catalogue_best_first():
    rows = table(page(STEAM), "Clean catalogue")
    values = [float(row[2]) for row in rows[1:]]
    assert len(values) == len(STEAM["models"])
    assert values == sorted(values, reverse=True)
    expected = sorted((m["clean_metrics"]["ndcg@10"] for m in STEAM["models"].values()), reverse=True)
    assert values == pytest.approx(expected, abs=5e-5)
    assert len(table(page(STEAM), "All items")) == 1 + len(STEAM["models"])


def test_the_headline_says_lift_and_interval_of_the_clean_catalogue_and_of_text():
    told = lead(page(STEAM))
    for said in ("beats the best baseline, recent popularity", "18.8%", "+10.2% to +27.3%", "9.9%", "+5.1% to +14.6%"):
        assert said in told


@pytest.mark.parametrize(
    ("lift", "interval", "said", "title"),
    [
        (-0.04, [-0.07, -0.01], "loses to the best baseline, recent popularity, by 4.0%", "4.0% worse than"),
        (0.02, [-0.01, 0.05], "neither better nor worse than the best baseline", "Not told apart from"),
        (0.02, None, "neither better nor worse than the best baseline", "Not told apart from"),
    ],
)
def test_bad_news_is_told_as_plainly(lift, interval, said, title):
    html = page(changed(clean_lift=lift, clean_lift_ci=interval))
    assert said in lead(html)
    assert title in html.split("<h1>")[1].split("</h1>")[0]
    assert "better beyond noise" not in html


def test_text_that_costs_is_said_to_cost():
    told = lead(page(changed(clean_text_lift=-0.05, clean_text_lift_ci=[-0.08, -0.02])))
    assert "its texts cost 5.0%" in told


def test_without_a_clean_catalogue_all_items_are_the_headline():
    result = {key: value for key, value in STEAM.items() if not key.startswith("clean_")}
    plain = {"parameters", "seconds", "metrics", "slices"}
    result["models"] = {m: {k: row[k] for k in plain} for m, row in STEAM["models"].items()}
    html = page({**result, "protocol": "p2"})
    assert "29.7%" in lead(html)
    assert "lean catalogue" not in html


@pytest.mark.parametrize("key", sorted(set(STEAM) - {"models"}))
def test_a_missing_key_is_left_out_and_nothing_breaks(key):
    result = changed()
    del result[key]
    assert Reader(page(result)).tags.count("h1") == 1


def test_models_alone_make_a_page():
    shown = Reader(page(smallest()))
    assert "Nightrec" in shown.text
    assert "Recent popularity" in shown.text
    assert "None" not in shown.text
    assert Reader(page({"models": {}})).tags.count("h1") == 1


def test_figures_that_are_not_numbers_are_shown_as_unknown():
    result = changed(clean_lift=float("nan"))
    result["models"]["ease"]["clean_metrics"] |= {"ndcg@10": float("nan"), "diversity@10": None}
    shown = Reader(page(result))
    assert "nan" not in shown.text.lower().split()
    assert "EASE" in shown.text


def test_the_best_of_each_column_is_marked_and_of_the_popularity_percentile_the_lowest():
    metrics = {"ndcg@10": 0.5, "popularity_percentile@10": 0.9}
    worse = {"ndcg@10": 0.25, "popularity_percentile@10": 0.75}
    html = page({"models": {"nightrec": {"metrics": metrics}, "text": {"metrics": worse}}})
    best = [part.split("<")[0] for part in html.split('<td class="right best">')[1:]]
    assert best == ["0.5000", "0.7500"]


def test_intervals_are_those_of_the_result_and_a_lift_without_one_says_so():
    without = [row for row in table(page(STEAM), "Nightrec over each baseline") if row[0] == "EASE"]
    own, ease = (STEAM["models"][m]["clean_metrics"]["ndcg@10"] for m in ("nightrec", "ease"))
    assert without[0][2:] == [f"+{own / ease - 1:.1%}not recorded", "0.008"]
    lifts = {"ease": {"lift": 0.456, "ci": [0.4, 0.512]}}
    told = [row for row in table(page(changed(clean_lifts=lifts)), "Nightrec over each baseline") if row[0] == "EASE"]
    assert told[0][2] == "+45.6%+40.0% to +51.2%"


def test_parts_of_later_results_get_a_section_each():
    result = changed(
        clean_ablations={"documents_only": {"lift": -0.0123, "ci": [-0.02, -0.001]}},
        final_list=[{"relevance": one, "ndcg@10": 0.07 * one, "diversity@10": 1 - one / 9} for one in (1.0, 0.7)],
    )
    html = page(result)
    shown = Reader(html)
    for said in ("Documents only", f"{MINUS}1.2%", "Relevance 0.7"):
        assert said in shown.text
    sections = {attributes.get("id") for tag, attributes in shown.attributes if tag == "section"}
    assert "final-list" in sections


def test_foreign_text_is_escaped_everywhere():
    result = {**full(), "data": HOSTILE, "protocol": HOSTILE, "commit": HOSTILE}
    result["clean_fairness"][HOSTILE] = {**result["clean_fairness"]["gender"], "best": HOSTILE}
    result["models"]["nightrec"]["clean_slices"][f"{HOSTILE}={HOSTILE}"] = {"users": 1, "ndcg@10": 0.1}
    result["rerank"]["test"]["arms"][HOSTILE] = result["rerank"]["test"]["arms"]["tuned pointwise"]
    result["rerank"]["tuning"]["ended_by"] = result["clean_metric_check"]["library"] = HOSTILE
    result["peer_costs"][HOSTILE], result["peer_versions"][HOSTILE] = {"seconds": 3.0}, HOSTILE
    result["stage_seconds"][HOSTILE] = 5.0
    result["models"][HOSTILE] = result["models"]["ease"]
    result["clean_p_values"][HOSTILE] = 0.5
    result["configuration"] = {HOSTILE: HOSTILE}
    result["final_list"] = [{"name": HOSTILE, "ndcg@10": v, "diversity@10": v} for v in (0.1, 0.2)]
    for html in (page(result, HOSTILE), index({HOSTILE: result, "other.html": STEAM})):
        shown = Reader(html)
        assert "script" not in shown.tags
        assert HOSTILE in "".join(shown.words)


def test_the_page_needs_nothing_else_and_can_be_read_without_eyes():
    shown = Reader(page({**full(), "final_list": [{"a": v, "ndcg@10": v, "diversity@10": v} for v in (0.1, 0.2)]}))
    assert not {"script", "img", "link", "iframe"} & set(shown.tags)
    addresses = [attributes["href"] for tag, attributes in shown.attributes if tag == "a"]
    identifiers = {attributes["id"] for _, attributes in shown.attributes if "id" in attributes}
    assert addresses
    assert {address.removeprefix("#") for address in addresses} <= identifiers
    drawings = [attributes for tag, attributes in shown.attributes if tag == "svg"]
    assert all(one.get("aria-hidden") == "true" or (one["role"] == "img" and one["aria-label"]) for one in drawings)
    assert all(attributes.get("scope") for tag, attributes in shown.attributes if tag == "th")


def test_pages_lie_beside_their_results_and_several_get_an_index(tmp_path, capsys):
    paths = [tmp_path / "ranking-steam-p1.json", tmp_path / "deeper" / "ranking-small-p2.json"]
    paths[1].parent.mkdir()
    paths[0].write_text(json.dumps(STEAM))
    paths[1].write_text(json.dumps({**smallest(), "data": "small", "protocol": "p2"}))
    main([str(paths[0])])
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["ranking-steam-p1.html"]
    main([str(path) for path in paths])
    shown = Reader((tmp_path / "ranking.html").read_text())
    addresses = [attributes["href"] for tag, attributes in shown.attributes if tag == "a"]
    assert addresses == ["ranking-steam-p1.html", "deeper/ranking-small-p2.html"]
    assert all((tmp_path / address).is_file() for address in addresses)
    assert [row[0] for row in shown.rows if row[0] in ("steam", "small")] == ["steam", "small"]
    assert "+10.2% to +27.3%" in shown.text


def test_the_index_takes_the_geometric_mean_of_the_lifts_by_text():
    results = {name: changed(data=name, clean_text_lift=lift) for name, lift in (("a", 3.0), ("b", 0.0))}
    assert "+100.0%, geometric mean over 2 sets" in lead(index(results))


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6), min_size=1, max_size=6))
def test_an_axis_holds_zero_and_all_values(values):
    scale = Scale.of(values)
    slack = 1e-6
    assert all(-slack <= scale.share(value) <= 1 + slack for value in [0.0, *values])
    assert 2 <= len(scale.ticks) <= 9
    assert list(scale.ticks) == sorted(scale.ticks)


@given(st.floats(-1, 1), st.floats(0, 1))
def test_a_side_is_taken_only_where_the_interval_leaves_out_zero(middle, half):
    side = Effect("m", middle, middle - half, middle + half).side
    holds_zero = middle - half <= 0 <= middle + half
    assert side == ("open" if holds_zero else "better" if middle > 0 else "worse")


def test_the_largest_features_are_shown_and_the_others_summed_up():
    shares = {f"ials_{n}": 0.05 for n in range(15)} | {"item_age_days": 0.15, "trend": 0.1}
    html = page({**smallest(), "models": STEAM["models"], "ranker": {"clean": {"feature_importance": shares}}})
    rows = table(html, "What the ranker goes by")
    assert [rows[1][0], rows[2][0], rows[3][0], len(rows)] == ["Item age days", "Trend", "iALS: 0", 16]
    assert "2 other features share 10.0%" in Reader(html).text
