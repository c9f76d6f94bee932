"""What a comparison prints when it has ended on this machine."""

from trial import render


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
