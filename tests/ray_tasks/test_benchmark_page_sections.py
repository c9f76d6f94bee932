"""Sections of the ranking benchmark's page: what texts, profiles, re-ranking and exploration are worth, and costs."""

import pytest
from benchmark_sample import STEAM, full
from page_reader import Reader, table

from ray_tasks.benchmark.report import costs, groups, reranked, words
from ray_tasks.benchmark.report.figures import ALL, CLEAN
from ray_tasks.benchmark.report.page import index, page

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
LATER = ("rerank", "profiles", "peer_costs", "peer_versions", "stage_seconds", "fairness", "metric_check")
ARMS = "Re-ranking, arm by arm"
FULL, CHOSEN = full(), "base in-context pointwise+ranker"


def sections(html: str) -> set[str]:
    return {attributes.get("id") for tag, attributes in Reader(html).attributes if tag == "section"}


def without(*keys: str) -> dict:
    return {key: value for key, value in FULL.items() if key.removeprefix("clean_") not in keys}


def test_texts_profiles_and_every_arm_stand_on_one_axis_with_their_intervals():
    rows = table(page(FULL), "What is gained in NDCG@10")
    told = {row[0]: row[2] for row in rows[1:-1]}
    assert told["All texts"] == "+9.9%+5.1% to +14.6%"
    assert told["LLM profiles"] == f"+1.5%{MINUS}0.3% to +3.3%"
    arms = [name for name in told if name.startswith("Re-ranked")]
    assert len(arms) == 6
    assert [name for name in arms if name.endswith("chosen on validation")] == [
        "Re-ranked: base model, with examples, item by item chosen on validation"
    ]
    share = 0.0016 / 0.0742
    assert told[arms[2]].startswith(f"+{share:.1%}")


def test_variants_of_the_blend_and_the_order_validation_chose_have_a_row_each():
    rows = table(page(FULL), "NDCG@10 by what is known")
    assert [row[0] for row in rows[1:]] == [
        "Nightrec",
        "Nightrec without LLM profiles",
        "Nightrec without text",
        "Nightrec, users of the re-ranking",
        "Re-ranked",
    ]
    assert [row[2] for row in rows[1:]] == ["4,148"] * 3 + ["1,211"] * 2
    assert [row[1] for row in rows[4:]] == ["0.0742", "0.0758"]


def test_without_profiles_the_blend_is_said_to_know_none():
    html = page(STEAM)
    assert [row[3] for row in table(html, "NDCG@10 by what is known")[1:]] == [
        "interactions, item texts",
        "interactions",
    ]
    assert "LLM profiles" not in Reader(html).text


def test_an_arm_is_told_alone_and_with_the_ranker_and_its_bias_in_words():
    rows = table(page(FULL), ARMS)[1:]
    assert len(rows) == 6
    name, alone, change, blend, gain, weight, helps, bias, took = rows[1]
    assert name == "Base model, no examples, whole list"
    assert (alone, change) == ("0.0512", f"{MINUS}31.0%{MINUS}43.1% to {MINUS}18.9%")
    assert (blend, gain) == ("0.0746", f"+0.5%{MINUS}2.0% to +3.1%")
    assert (weight, helps, took) == ("0.1", "no", "48.8 s20,800 tokens")
    assert bias == f"place 1 {TIMES}2.5, place 9 {TIMES}0.67"
    assert rows[0][7] == "no list shown"


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        ({"value": 0.002, "low": 0.001, "high": 0.003}, "on the test users it helps: +2.7%"),
        ({"value": -0.002, "low": -0.003, "high": -0.001}, f"on the test users it harms: {MINUS}2.7%"),
        ({"value": 0.002, "low": -0.001, "high": 0.005}, "it changes nothing beyond noise: +2.7%"),
    ],
)
def test_what_validation_chose_is_told_as_the_test_users_have_it(gap, said):
    result = full()
    result["rerank"]["test"]["arms"][CHOSEN]["difference"] = gap
    assert said in Reader(page(result)).text


def test_where_nothing_helped_on_validation_the_page_says_so_and_shows_what_came_closest():
    result = full()
    result["rerank"]["chosen"] = None
    shown = Reader(page(result))
    assert "On validation no order helped beyond noise, so the ranker's stays" in shown.text
    assert reranked.first_on_validation(result) == "tuned listwise+ranker"
    assert "tuned model, whole list, with the ranker: first, not chosen, on validation" in shown.text.lower()
    assert "chosen on validation" not in shown.text


def test_of_equal_orders_the_one_with_the_ranker_comes_first():
    result = full()
    arms = result["rerank"]["validation"]["arms"]
    for one in arms.values():
        one["difference"]["value"] = 0.0
    result["rerank"]["chosen"] = None
    assert reranked.first_on_validation(result).endswith("+ranker")


@pytest.mark.parametrize("told", [{}, {"test": {}}, {"test": {"arms": {}}}, {"test": {"arms": []}}, None])
def test_re_ranking_that_was_switched_off_leaves_no_trace(told):
    assert "Re-rank" not in Reader(page({**without("stage_seconds"), "rerank": told})).text


def test_an_arm_without_figures_is_unknown_and_breaks_nothing():
    result = full()
    result["rerank"]["test"]["arms"] = {"base zero-shot listwise": {"position_bias": [float("nan")] * 10}}
    result["rerank"]["test"]["ranker_ndcg@10"]["value"] = float("nan")
    rows = table(page(result), ARMS)[1:]
    assert rows[0][:4] == ["Base model, no examples, whole list", "-", "-", "-"]
    assert "nan" not in Reader(page(result)).text.lower().split()


def test_new_items_show_who_finds_them_and_at_what_price():
    html = page(FULL)
    found = {row[0]: row[2] for row in table(html, "Recall@20 of new items")[1:]}
    assert found["Nightrec with exploration"] == "0.0911"
    assert found["Nightrec"] == "0.0723"
    assert len(found) == 4
    price = {row[0]: row[1:] for row in table(html, "What the places cost")[1:]}
    assert price["Nightrec with exploration"] == ["0.1688", "0.0637"]
    text = Reader(html).text
    assert "All items: without exploring, NDCG@10 is 1.0% higher (+0.3% to +1.7%)" in text
    assert "Clean catalogue: without exploring, NDCG@10 is the same." in text


def test_the_baseline_beside_new_items_is_the_one_that_finds_most():
    result = full()
    result["models"]["ials"]["slices"]["new items"]["recall@20"] = 0.01
    assert [row[0] for row in groups.new_items(result)["rows"]][-1] == "ials"
    for row in result["models"].values():
        del row["slices"]["new items"]
    assert groups.new_items(result) is None
    assert "new-items" not in sections(page(result))


def test_groups_are_apart_from_slices_and_the_gap_has_its_interval():
    html = page(FULL)
    rows = table(html, "The groups served best and worst")
    assert rows[1] == ["Gender", "2", "M", "0.0755", "F", "0.0688", f"+0.0067{MINUS}0.0004 to +0.0138"]
    shown = table(html, "Every group, NDCG@10, clean catalogue")
    assert [row[0] for row in shown[1:]] == ["Gender: F", "Gender: M", "Age: 18-24", "Age: 25-34"]
    assert shown[0][2:] == ["Nightrec", "Nightrec without text", "SASRec (RecTools)"]
    assert not any("=" in column for column in table(html, "Every model on every slice")[0])


def test_groups_too_small_to_compare_are_listed_all_the_same():
    html = page(without("fairness"))
    assert "The groups served best and worst" not in html
    assert "Gender: F" in Reader(html).text
    assert groups.gaps({**FULL, "clean_fairness": {"gender": {"best": "F"}}}, CLEAN) == []


def test_time_is_told_by_stage_with_what_no_stage_accounts_for():
    stages = dict(costs.stages(FULL))
    assert next(iter(stages)) == costs.LLM_PROFILES
    assert list(stages)[-1] == costs.REST
    assert sum(stages.values()) == pytest.approx(FULL["seconds"])
    assert costs.REST not in dict(costs.stages({**FULL, "seconds": 10.0}))
    rows = table(page(FULL), "Models of other libraries")
    assert rows[1] == ["SASRec (RecTools)", "3 min 06 s", "5 min 35 s", "1,450 MB"]


def test_the_check_of_the_metrics_is_one_line_over_all_catalogues():
    result = {**FULL, "metric_check": {**FULL["metric_check"], "max_abs_difference": 3e-9}}
    told = costs.metric_check(result)
    assert told.startswith("ranx 0.3.21 computes them too, for each of 4,769 users and 20 models")
    assert told.endswith("the largest difference is 3e-09")
    assert told in Reader(page(result)).text
    assert costs.metric_check(STEAM) == ""


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, ""),
        ({"by_llm": 0, "by_template": 0, "tokens": 0, "seconds": 0}, ""),
        ({"by_llm": 0, "by_template": 5, "tokens": 0, "seconds": 0}, "A template described all 5 items"),
        ({"by_llm": 2, "by_template": 5, "tokens": 1200, "seconds": 0}, "of 7 items (1,200 tokens, in an earlier run)"),
        ({"by_llm": 2, "by_template": 5, "tokens": 1200, "seconds": 8.4}, "2 of 7 items (1,200 tokens, 8.4 s)"),
    ],
)
def test_who_described_the_items(told, said):
    assert said in costs.profiles({"profiles": told})
    assert bool(said) == bool(costs.profiles({"profiles": told}))


@pytest.mark.parametrize("key", [*LATER, "profile_lift", "profile_lift_ci", "explore_cost", "explore_cost_ci"])
def test_each_later_key_may_be_absent(key):
    shown = Reader(page(without(key)))
    assert shown.tags.count("h1") == 1
    assert "None" not in shown.text


def test_earlier_results_have_none_of_the_later_sections():
    assert sections(page(FULL)) - sections(page(STEAM)) == {"groups"}
    assert {"texts", "new-items"} <= sections(page(STEAM))
    text = Reader(page(STEAM)).text
    for said in ("Re-rank", "exploring, NDCG", "Time by stage", "Models of other libraries", "Metrics checked"):
        assert said not in text


def test_many_models_fold_but_nightrec_and_what_beats_it_do_not():
    result = full()
    own = result["models"]["nightrec"]["clean_metrics"]
    own["ndcg@10"] = 0.05
    bars = table(page(result), "Clean catalogue")
    names = [row[0] for row in bars[1:]]
    assert names[-1] == "Nightrec"
    assert len(names) == 1 + sum(row["clean_metrics"]["ndcg@10"] > 0.05 for row in result["models"].values())
    assert len(names) + len(table(page(result), "The others")[1:]) == len(result["models"])


def test_where_exploration_costs_nothing_nightrec_stands_before_it():
    html = page(FULL)
    assert [row[0] for row in table(html, "Clean catalogue")[1:3]] == ["Nightrec", "Nightrec with exploration"]
    metrics = html.split('<section id="metrics">')[1]
    assert [row[0] for row in table(metrics, "Clean catalogue")[1:3]] == ["Nightrec", "Nightrec with exploration"]


def test_the_index_tells_what_profiles_add():
    html = index({"a.html": FULL, "b.html": STEAM})
    assert f"+1.5%{MINUS}0.3% to +3.3%" in [cell for row in table(html, "One row for each")[1:] for cell in row]
    assert len(table(html, "Nightrec over itself without LLM profiles")) == 3


def test_biases_that_no_reader_would_notice_are_none():
    assert words.bias([0.05, -0.05]) == "all places alike"
    assert words.bias([]) == "no list shown"
    assert words.arm("own words") == "own words"
    assert groups.group_table(FULL, ALL)["models"] == ["nightrec", "nightrec_no_text", "peer_rectools_sasrec"]
