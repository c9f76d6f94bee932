"""Figures of a tuning by hand, their intervals, and the rule that promotes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_tasks import statistics
from ray_tasks.statistics import Figure
from ray_tasks.tuning.promotion import verdict

GOLD = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)
SAID = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0]], dtype=bool)


def test_f1_by_hand():
    assert statistics.micro_f1(SAID, GOLD, 1).value == pytest.approx(2 * 2 / (3 + 4))
    assert statistics.macro_f1(SAID, GOLD, 1).value == pytest.approx((1 + 0 + 0) / 3)


def test_auc_by_hand_counts_ties_half():
    assert statistics.auc([3, 2, 2, 1], [True, True, False, False], 1).value == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_auc_needs_both_classes():
    assert np.isnan(statistics.auc([1, 2], [True, True], 1).value)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auc_of_the_negated_scores_is_the_complement(rows):
    scores, wanted = zip(*rows, strict=True)
    there, back = statistics.auc(scores, wanted, 1).value, statistics.auc([-one for one in scores], wanted, 1).value
    assert np.isnan(there) == (len(set(wanted)) == 1)
    assert np.isnan(there) or there + back == pytest.approx(1)


def test_an_interval_holds_the_figure_and_shrinks_with_rows():
    few, many = (statistics.mean(np.tile([0, 1], n), 1) for n in (10, 1_000))
    assert few.low < few.value < few.high
    assert many.high - many.low < few.high - few.low
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.5 / 2_000**0.5, rel=0.1)


def test_equal_answers_never_differ_in_any_draw():
    one, two = (statistics.micro_f1(SAID, GOLD, 5) for _ in range(2))
    assert np.array_equal(one.draws, two.draws)


def arms(own, other, **changed):
    """Figures of two arms: label F1 from shares of right rows, and fixed others."""
    figures = []
    for name, share in (("lora", own), ("prompting", other)):
        gold = np.ones((200, 1), dtype=bool)
        said = (np.arange(200) < 200 * share)[:, None]
        figures.append(Figure(name, "item", "labels", "micro_f1", statistics.micro_f1(said, gold, 3)))
        values = {
            ("item", "labels", "validity"): 1.0,
            ("item", "profile", "grounding"): 0.9,
            ("user", "next_item", "auc"): 0.6,
        }
        for (kind, task, metric), value in values.items():
            own_value = changed.get(metric, value) if name == "lora" else value
            figures.append(Figure(name, kind, task, metric, statistics.Estimate(own_value, 0, 1, 200, np.zeros(0))))
    return figures


def test_better_labels_and_nothing_worse_promotes():
    assert verdict(arms(0.9, 0.6)).promoted


@pytest.mark.parametrize(
    ("changed", "what"),
    [({"validity": 0.97}, "validity"), ({"grounding": 0.87}, "grounding"), ({"auc": 0.59}, "auc")],
)
def test_anything_worse_keeps_prompting(changed, what):
    judged = verdict(arms(0.9, 0.6, **changed))
    assert not judged.promoted
    assert what in " ".join(judged.reasons)


def test_a_loss_within_the_tolerance_does_not_count():
    assert verdict(arms(0.9, 0.6, validity=0.985, grounding=0.885)).promoted


def test_a_gain_within_the_noise_is_no_gain():
    judged = verdict(arms(0.6, 0.6))
    assert not judged.promoted
    assert "beyond noise" in judged.reasons[0]


def test_labels_that_were_not_measured_prove_nothing():
    figures = [one for one in arms(0.9, 0.6) if one.metric != "micro_f1"]
    assert verdict(figures).reasons == ("label F1 was not measured",)


def test_what_only_prompting_has_is_a_reason_against():
    figures = [one for one in arms(0.9, 0.6) if (one.arm, one.metric) != ("lora", "grounding")]
    assert "grounding of profile (item) was not measured" in verdict(figures).reasons
