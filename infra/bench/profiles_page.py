"""docs/profiles.md from the figures of `profiles.py`: tables, and ten random items as every arm labelled them."""

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

INTRODUCTION = """# Profiles against held-out metadata

Written by `make bench-profiles` (`infra/bench/profiles.py`); the same figures are in
[benchmarks/profiles.json](benchmarks/profiles.json). How well are the labels of a profile those that the catalogue
itself gives, when the prompt does not show them? Hidden are genres (and, for games, the three most voted tags); shown
are the title, a plot or a review, and the labels that *other* items, those chosen by the same people, often carry.

- **template**: no model; the labels that at least 30% of the near items' votes name, at least one.
- **prompting**: the default model with four solved examples from the same catalogue.
- **lora**: the same model, tuned on 80% of the items; no examples in the prompt.

The arms answer for the same items, of which neither training nor examples have seen any. Intervals are bootstrap 95%
over items. F1 is over all labels (micro) and the mean over labels (macro)."""


def page(found: Mapping[str, Row]) -> str:
    """docs/profiles.md."""
    parts = [INTRODUCTION]
    for name, one in found.items():
        lines = [
            "| arm | valid | micro F1 (95%) | macro F1 (95%) | s / item | tokens / item |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_line(arm, metrics) for arm, metrics in one["arms"].items()]
        training = one["training"]
        beats = "is better than prompting beyond noise" if one["lora_beats_prompting"] else "is not better beyond noise"
        parts.append(
            f"## {name}: {one['items']} held-out items, {one['labels']} labels\n\n" + "\n".join(lines) + "\n\n"
            f"LoRA {beats}. Training: {training['pairs']:,} items, {training['steps']} steps, {training['tokens']:,} "
            f"tokens in {training['seconds']:.0f} s ({training['tokens_per_second']:.0f} tokens/s), ended by "
            f"{training['ended_by']}; the whole data set took {one['minutes']} minutes.\n\n"
            "Ten random items (seeded):\n\n| item | hidden | template | prompting | LoRA |\n|---|---|---|---|---|\n"
            + "\n".join(_sample(sample) for sample in one["samples"])
        )
    return "\n\n".join(parts) + "\n"


def _line(arm: str, metrics: Row) -> str:
    def shown(name: str, form: str = ".3f") -> str:
        found = metrics.get(name)
        if found is None:
            return "-"
        interval = f" ({found['low']:.2f} to {found['high']:.2f})" if "low" in found and name.endswith("f1") else ""
        return f"{found['value']:{form}}{interval}"

    cells = [shown("validity"), shown("micro_f1"), shown("macro_f1"), shown("seconds_per_answer", ".2f")]
    return f"| {arm} | {' | '.join(cells)} | {shown('tokens_per_answer', '.0f')} |"


def _sample(sample: Row) -> str:
    cells = [", ".join(sample[name]) for name in ("hidden", "template", "prompting", "lora")]
    return f"| {sample['title'].replace('|', '/')} | {' | '.join(cells)} |"
