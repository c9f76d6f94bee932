"""What the report tells of profiles: cards, rejected attempts, vocabulary, costs over nights, and comparisons."""

import re
from datetime import timedelta

import pytest

from jobs.report.__main__ import report
from jobs.report.benchmark import benchmark_view
from jobs.report.costs import cost_figures, cost_trends
from jobs.report.experiments import experiments_view
from jobs.report.profile_samples import with_claims
from jobs.report.samples import featured_user
from jobs.report.tracking import cost_metrics
from jobs.report.trials import trial_view
from made_up_night import (
    EVIL,
    NIGHT,
    claim,
    cost_rows,
    make_config,
    make_night,
    make_report,
    publish,
    title,
    unclosed_tags,
)
from schemas.night import night_task, run_folder, save_config
from schemas.storage import read_text


def trial(arm, metric, value, kind="item", task="profile", **columns):
    half = columns.pop("half", None)
    ends = {"low": None, "high": None} if half is None else {"low": value - half, "high": value + half}
    asked = arm not in ("template", "difference")
    names = {"model": "SmolLM2", "revision": "c0ffee" * 10, "prompt_version": f"{kind}_profile.v2"}
    row = {"trial": "tuning", "arm": arm, "kind": kind, "task": task, "metric": metric, "value": value, "n": 60}
    return {**row, **(names if asked else dict.fromkeys(names)), **ends, "note": None, **columns}


TUNING = [
    trial("template", "micro_f1", 0.41, task="labels", half=0.05),
    trial("prompting", "micro_f1", 0.33, task="labels", half=0.05),
    trial("lora", "micro_f1", 0.52, task="labels", half=0.05),
    trial("prompting", "grounding", 0.72, half=0.06),
    trial("lora", "grounding", 0.88, half=0.06),
    trial("prompting", "seconds_per_answer", 0.625),
    trial("lora", "seconds_per_answer", 0.25),
    trial("prompting", "tokens_per_answer", 410.0),
    trial("lora", "tokens_per_answer", 190.0),
    trial("lora", "promoted", 0.0, task="training", note="<b>AUC</b> is lower"),
    trial("lora", "seconds", 812.0, task="training", n=1_900, note="ended by patience"),
]
SHADOW = [
    trial("champion", "grounding", 0.70, trial="shadow", half=0.1),
    trial("challenger", "grounding", 0.75, trial="shadow", half=0.1, prompt_version="item_profile.v3"),
    trial("difference", "grounding", 0.05, trial="shadow", half=0.08),
    trial("champion", "ndcg_10", 0.2, trial="shadow", task="ranking"),
    trial("challenger", "ndcg_10", 0.3, trial="shadow", task="ranking"),
]


def ranked(model, metric, value, catalogue="clean", **other):
    place = {"protocol": "p1", "catalogue": catalogue, "slice": "all", "n_users": 1_234}
    return {"model": model, "metric": metric, "value": value, "low": None, "high": None, **place, **other}


BENCHMARK = [
    ranked("ease", "ndcg@10", 0.05),
    ranked("nightrec", "ndcg@10", 0.06),
    ranked("nightrec", "ndcg@10", 0.01, slice="new_users"),
    ranked("nightrec", "ndcg@10", 0.5, catalogue="all"),
    ranked("nightrec", "lift_over:ease", 0.2, low=0.1, high=0.3),
]


def publish_trials(folder, table, rows, night):
    """As another DAG does: in a run of its own, named by no manifest."""
    with night_task(table, save_config(make_config(folder, night, table))) as task:
        publish(task, table, rows)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A night with the one before it, a tuning of that one, a shadow run of tonight, and one that is yet to come."""
    folder = tmp_path_factory.mktemp("night")
    before = NIGHT - timedelta(days=1)
    make_report(make_config(folder, before, "earlier"), costs=cost_rows(saved=0))
    publish_trials(folder, "tuning_trials", TUNING, before)
    publish_trials(folder, "shadow_trials", SHADOW, NIGHT)
    late = [{**row, "value": 0.999} for row in SHADOW]
    publish_trials(folder, "shadow_trials", late, NIGHT + timedelta(days=1))
    publish_trials(folder, "benchmark_evaluations", BENCHMARK, before)
    config = make_config(folder)
    return config, *make_report(config, costs=cost_rows(price=2e-6))


def section(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)[0]


def test_the_page_with_everything_on_it_is_well_formed_and_self_contained(night):
    page = night[2]
    assert unclosed_tags(page) == []
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)|url\(|@import""", page)


def test_the_first_thing_shown_is_one_users_list_with_reasons(night):
    page = night[2]
    shown = section(page, "one")
    assert page.index('id="one"') < page.index('id="figures"')
    assert shown.count('class="rank"') == 5
    assert shown.count("Because you watched") == 5
    assert "Enjoys quiet dramas and clever thrillers." in shown


def test_the_featured_user_is_described_by_the_model_served_and_of_middling_activity():
    def user(name, percentile, source="llm", served=True):
        profile = {"source": source} if source else None
        return {"user_id": name, "percentile": percentile, "profile": profile, "recommendations": [1] * served}

    users = [user("a", 5), user("b", 45), user("c", 50, "template"), user("d", 50, served=False)]
    assert featured_user(users)["user_id"] == "b"
    assert featured_user(users[2:])["user_id"] == "c"
    assert featured_user([user("a", 5, None)])["user_id"] == "a"
    assert featured_user(users[3:]) is None


def test_an_item_card_shows_labels_aspects_and_the_evidence_as_text(night):
    cards = section(night[2], "profiles")
    assert "People who enjoy slow drama." in cards
    assert '<span class="mood">moving</span>' in cards
    assert "+0.40, 3 for, 1 against, 5 reviews" in cards
    assert "-0.60, 0 for, 2 against, 3 reviews" in cards
    assert "Evidence: 2 pieces" in cards
    assert "<script" not in cards
    assert EVIL not in cards


def test_a_user_card_shows_taste_strengths_and_the_titles_behind_them(night):
    cards = section(night[2], "profiles")
    assert "Lately thrillers." in cards
    assert cards.index("<b>drama</b>") < cards.index("<b>thriller</b>")
    assert f"{title(1)} · {title(2)}" in cards
    assert "<b>not comedy</b>" in cards
    assert '<span class="avoided">horror</span>' in cards


def test_claims_go_by_strength_and_unknown_items_by_their_ids():
    profile = {"likes": [claim("b", 0.1, "i9"), claim("a", 0.1), claim("c", 0.5, "i1")], "dislikes": None}
    told = with_claims(profile, {"i1": {"title": "Chair"}})
    assert [(one["label"], one["titles"]) for one in told["likes"]] == [("c", ["Chair"]), ("a", []), ("b", ["i9"])]
    assert told["dislikes"] == []


def test_rejected_attempts_are_counted_by_reason_and_attempt(night):
    rows = re.findall(
        r'<span class="badge bad">([\w ]+)</span></td><td>(\w+)</td><td class="right" data-head="first">(\d+)</td>'
        r'<td class="right" data-head="second">(\d+)</td>',
        section(night[2], "profiles"),
    )
    assert rows == [
        ("not grounded", "item", "3", "3"),
        ("copied example", "item", "5", "0"),
        ("invalid json", "user", "1", "0"),
    ]
    assert "A film about &lt;b&gt;nothing&lt;/b&gt;" in night[2]


def test_the_vocabulary_is_counted_and_listed_and_the_users_own_labels_are_marked(night):
    shown = section(night[2], "profiles")
    assert "6 themes, 3 moods, 3 aspects" in shown
    assert "2 new since the night before, 1 gone" in shown
    assert '<span class="own" title="user">&lt;i&gt;harbours&lt;/i&gt; <b>4</b></span>' in shown


def test_costs_are_told_with_money_where_prices_are_set_and_over_nights(night):
    _, summary, page = night
    assert summary["costs"]["spent"] == 2 * 53_970
    assert summary["costs"]["saved"] == 2 * 61_000
    assert summary["costs"]["kinds"]["item"]["accept_rate"] == pytest.approx(27 / 37)
    shown = section(page, "cost")
    assert "Money per thousand accepted" in shown
    assert "Tokens, night by night" in shown
    assert shown.count("<circle") == 2 * 2 + 2 * 2
    assert "saved by reuse, 1998-04-23: 122,000" in shown


def test_without_prices_there_is_no_money_and_without_earlier_nights_no_line(tmp_path):
    _, page = make_report(make_config(tmp_path))
    shown = section(page, "cost")
    assert "No prices are set" in shown
    assert "Money" not in shown
    assert "The lines over nights begin with the second night." in shown
    assert 'id="tuning"' not in page
    assert 'id="shadow"' not in page


def test_a_night_that_asked_for_nothing_has_costs_without_rates():
    nothing = dict.fromkeys(("asked", "accepted", "prompt_tokens", "output_tokens", "money", "saved_money"), 0)
    per = {"tokens_per_thousand": None, "money_per_thousand": None}
    found = cost_figures([{**cost_rows()[0], **nothing, **per}])
    assert found["spent"] == 0
    assert found["kinds"]["item"]["accept_rate"] is None
    assert "accept_rate.item" not in cost_metrics(found)
    assert cost_metrics(found)["tokens_saved.item"] == 61_000
    assert cost_figures([]) == {}


def test_nights_that_did_not_tell_their_costs_are_left_out_of_the_lines():
    nights = [{"run_date": f"2026-11-{day}", "costs": cost_figures(cost_rows())} for day in (20, 21)]
    before = {"run_date": "2026-11-19"}
    assert [len(chart["legend"]) for chart in cost_trends(nights[1], [before, nights[0]])] == [2, 2]
    assert cost_trends(nights[1], [before]) == []
    assert cost_trends({"run_date": "2026-11-22", "costs": {}}, nights) == []


def test_mlflow_has_costs_prompts_and_what_wrote_the_profiles(night):
    from mlflow import MlflowClient

    config, summary, _ = night
    client = MlflowClient(tracking_uri=config.mlflow_tracking_uri)
    run = client.get_run(summary["mlflow"]["run_id"]).data
    assert run.metrics["tokens_spent"] == 2 * 53_970
    assert run.metrics["tokens_saved.user"] == 61_000
    assert run.metrics["money"] == pytest.approx(2 * 53_970 * 2e-6)
    assert run.metrics["accept_rate.item"] == pytest.approx(27 / 37)
    assert run.metrics["vocabulary.theme"] == 6
    assert run.params["item_prompt"] == config.generator.item_prompt
    assert run.params["adapter"] == str(config.generator.adapter)
    assert run.params["model_revision"] == run.tags["nightrec.model_revision"] == "5af57cd8" * 8
    assert run.tags["nightrec.prompts"] == "prompts:/item_profile/1, prompts:/user_profile/1"
    assert client.get_prompt_version("item_profile", 1).template.startswith("Write a short profile")


def test_other_weights_under_an_equal_configuration_are_no_conflict_in_mlflow(tmp_path):
    from mlflow import MlflowClient

    make_report(make_config(tmp_path))
    other = [{**row, "model_revision": "new"} for row in cost_rows()]
    again, _ = make_report(make_config(tmp_path, run_id="second"), costs=other)
    run = MlflowClient(tracking_uri=again["mlflow"]["tracking_uri"]).get_run(again["mlflow"]["run_id"]).data
    assert run.params["model_revision"] == "5af57cd8" * 8
    assert run.tags["nightrec.model_revision"] == "new"


def test_prompting_and_tuning_stand_side_by_side(night):
    shown = section(night[2], "tuning")
    assert "Published for the night of 22 April 1998." in shown
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', shown)
    assert heads == ["Figure", "Template", "Prompting", "LoRA", "Over"]
    assert 'best">0.520<span class="range-text">0.470 to 0.570</span>' in shown
    assert 'best">0.250<' in shown
    assert "Not promoted" in shown
    assert "&lt;b&gt;AUC&lt;/b&gt; is lower" in shown
    assert "13 min 32 s of training on 1,900 examples, ended by patience." in shown


def test_a_shadow_run_is_the_newest_up_to_the_night_with_its_differences(night):
    shown = section(night[2], "shadow")
    assert "Published for the night of 23 April 1998." in shown
    assert "0.999" not in shown
    assert 'right">0.050<span class="range-text">-0.030 to 0.130</span>' in shown
    assert "item_profile.v3" in shown


def test_a_comparison_is_ordered_and_its_bars_stay_on_their_scale():
    view = trial_view((NIGHT, [*TUNING, trial("another", "grounding", 2.0)]))
    assert [arm["name"] for arm in view["arms"]] == ["template", "prompting", "lora", "another"]
    assert [(p["metric"], [round(row["share"], 2) for row in p["rows"]]) for p in view["panels"]] == [
        ("micro_f1", [0.41, 0.33, 0.52]),
        ("grounding", [0.72, 0.88, 2.0]),
        ("seconds_per_answer", [1.0, 0.4]),
        ("tokens_per_answer", [1.0, 0.46]),
    ]
    assert set(view["training"]) == {"promoted", "seconds"}
    assert trial_view((NIGHT, [])) is None
    assert trial_view(None) is None


def test_equal_values_have_no_best():
    view = trial_view((NIGHT, [trial("prompting", "auc", 0.5), trial("lora", "auc", 0.5)]))
    assert not any(cell["best"] for group in view["groups"] for row in group["rows"] for cell in row["cells"])


def test_the_newest_ranking_benchmark_shows_its_headline_best_first(night):
    shown = section(night[2], "benchmark")
    assert "Published for the night of 22 April 1998." in shown
    assert "P1, clean catalogue, 1,234 users" in shown
    assert re.findall(r'<th scope="row">([^<]+)</th>', shown) == ["Nightrec", "EASE"]
    assert re.findall(r'<td class="right">(0\.\d+)</td>', shown) == ["0.0600", "0.0500"]
    assert '+20.0%<span class="range-text">+10.0% to +30.0%</span>' in shown


def test_an_experiment_shows_its_verdict_and_every_lift_with_its_interval(night):
    shown = section(night[2], "experiments")
    assert "<b>varied</b>: varied is better: CTR +5.1% (1.2 to 9.0)." in shown
    assert "6 days; users: plain 1,204, varied 1,204" in shown
    assert re.findall(r"([+-]\d\.\d%)<span", shown) == ["+5.1%", "-1.0%"]
    assert shown.count('<circle class="dot"') == 2
    assert experiments_view([]) == []


def test_requests_show_what_was_understood_and_what_came_first(night):
    shown = section(night[2], "requests")
    assert "“a &lt;b&gt;quiet&lt;/b&gt; drama, no comedy”" in shown
    assert "wants <b>drama</b>; not <b>comedy</b>; like <b>" in shown
    assert "years <b>1990 to</b>" in shown
    assert '<span class="badge template">off topic</span>' in shown
    assert shown.count("<li>") == 6


def test_a_benchmark_without_rows_is_not_shown():
    assert benchmark_view(None) is None
    assert benchmark_view((NIGHT, [])) is None
    only_all = benchmark_view((NIGHT, [ranked("nightrec", "ndcg@10", 0.0, catalogue="all")]))
    assert [(panel["catalogue"], panel["rows"][0]["share"]) for panel in only_all["panels"]] == [("all", 0.0)]


def test_a_night_that_stopped_before_its_profiles_has_a_page_without_them(tmp_path):
    config = make_config(tmp_path)
    uri = make_night(config, tasks=("ingest", "features", "vocabularies"))
    with night_task("report", uri) as task:
        summary = report(task)
    page = read_text(f"{run_folder(config.lake, config.run_id)}/report.html")
    assert summary["costs"] == {}
    assert "The night has not told its costs." in page
    assert 'id="one"' not in page
    assert "6 themes, 3 moods, 3 aspects" in page
