"""What a comparison prints when it has ended on this machine."""

from trial import render, render_ranking


def figure(arm, metric, value, low=None, high=None, note=None):
    return {
        "arm": arm, "kind": "item", "task": "labels", "metric": metric,
        "value": value, "low": low, "high": high, "note": note,
    }  # fmt: skip


def test_a_line_per_figure_and_a_column_per_arm_with_intervals_where_there_are_any():
    found = [
        figure("template", "micro_f1", 0.7, 0.65, 0.75),
        figure("lora", "micro_f1", 0.6, 0.5, 0.7),
        figure("lora", "tokens", 12_345.0, note="of training"),
    ]
    head, first, second, note = render(found).splitlines()
    assert head.split() == ["template", "lora"]
    assert first.split() == ["item", "labels", "micro_f1", "0.700", "(0.650-0.750)", "0.600", "(0.500-0.700)"]
    assert second.split() == ["item", "labels", "tokens", "12,345"]
    assert second.index("12,345") > first.index("(0.650")
    assert note == "tokens (lora): of training"


def ranked(model, metric, value, part="all", **other):
    place = {"protocol": "p1", "catalogue": "clean", "n_users": 1_200, "low": None, "high": None}
    return {"model": model, "slice": part, "metric": metric, "value": value, **place, **other}


def test_a_ranking_has_a_line_per_model_best_first_and_then_the_lifts():
    found = [
        ranked("ease", "ndcg@10", 0.02),
        ranked("nightrec", "ndcg@10", 0.03),
        ranked("nightrec", "ndcg@10", 0.01, "new_users", n_users=7),
        ranked("nightrec", "recall@20", 0.04),
        ranked("nightrec", "lift_over:ease", 0.5, low=0.25, high=0.75),
        ranked("nightrec", "ndcg@10", 0.1, catalogue="all"),
    ]
    *others, head, first, second, lift = render_ranking(found).splitlines()
    assert others[0].startswith("p1, all items, 1,200 users")
    assert head.startswith("p1, clean catalogue, 1,200 users")
    assert first.split() == ["nightrec", "0.0300", "0.0400"]
    assert second.split() == ["ease", "0.0200"]
    assert lift == "over ease: +50.0% (+25.0% to +75.0%)"
