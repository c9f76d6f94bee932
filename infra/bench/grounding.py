"""How well the grounding check tells bad profiles from good ones (`make bench-grounding`).

Its measure is `tests/data/grounding_labels.jsonl`: outputs of the default model, each read and labelled by hand as `ok`
or with what is wrong with it. The positive class is *bad*: precision is the share of refused outputs that are bad,
recall the share of bad outputs that are refused. The rules were tuned on one half of the set, chosen by a hash of the
id; figures of the other half are the ones to quote.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ray_tasks.profiles import grounding
from ray_tasks.profiles.prompt_file import PromptFile
from schemas.errors import ConfigError

HOME = Path(__file__).resolve().parents[2]
LABELS = HOME / "tests" / "data" / "grounding_labels.jsonl"
VOCABULARIES = LABELS.with_name("grounding_vocabularies.json")
DEFAULTS = {"item": "greedy+help", "user": "greedy+help+closed"}
"""Names of the decoding that nights use by default; the set has others, too, for their richer mistakes."""

Row = dict[str, Any]


def main() -> None:
    """Print the figures and write build/bench/grounding.json."""
    from measurement import written

    rows = load()
    found = figures(rows) | {"data_hash": hashlib.sha256(LABELS.read_bytes()).hexdigest()}
    path = written(HOME, "grounding", found)
    for half in ("validation", "test", "default"):
        print(half, {name: found[half][name] for name in ("n", "bad", "precision", "recall")})
    print(f"written to {path.relative_to(HOME)}")


def load() -> list[Row]:
    """The labelled outputs, in order."""
    return [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]


def half_of(row: Row) -> str:
    """`validation` or `test`, by a hash of the id."""
    return "test" if int(hashlib.sha256(row["id"].encode()).hexdigest(), 16) % 2 else "validation"


def verdict(row: Row) -> str | None:
    """What the check says of a labelled output: one of grounding.REASONS, or None."""
    return grounding.problem(
        list(row["texts"].values()),
        row["evidence"],
        shots=_shots(row["prompt"]),
        vocabulary=_vocabularies()[row["vocabulary"]],
        is_told=row["is_told"],
        title=row["title"],
    )


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """What `measure` finds in each half, and in what the default decoding of both halves wrote."""
    halves = {name: [row for row in rows if half_of(row) == name] for name in ("validation", "test")}
    halves["default"] = [row for row in rows if row["decoding"] == DEFAULTS[row["kind"]]]
    return {name: measure([(row["label"], verdict(row) or "ok") for row in some]) for name, some in halves.items()}


def measure(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Figures of pairs (label, verdict). An output counts as found whichever reason it is refused for."""
    bad = [pair for pair in pairs if pair[0] != "ok"]
    refused = [pair for pair in pairs if pair[1] != "ok"]
    both = sum(pair[1] != "ok" for pair in bad)
    reasons = Counter(label for label, _ in bad)
    caught = Counter(label for label, said in bad if said != "ok")
    accepted = len(pairs) - len(refused)
    return {
        "n": len(pairs),
        "bad": len(bad),
        "refused": len(refused),
        "precision": _share(both, len(refused)),
        "precision_interval": _wilson(both, len(refused)),
        "recall": _share(both, len(bad)),
        "recall_interval": _wilson(both, len(bad)),
        "accepted": accepted,
        "bad_among_accepted": _share(len(bad) - both, accepted),
        "per_reason": {reason: {"labelled": n, "refused": caught[reason]} for reason, n in sorted(reasons.items())},
        "verdicts": dict(sorted(Counter(said for _, said in pairs).items())),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _wilson(part: int, whole: int) -> list[float]:
    """The 95% interval of a share, by Wilson's score method."""
    from scipy.stats import binomtest

    if not whole:
        return [0.0, 1.0]
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return [round(float(interval.low), 4), round(float(interval.high), 4)]


@cache
def _vocabularies() -> dict[str, frozenset[str]]:
    found = json.loads(VOCABULARIES.read_text(encoding="utf-8"))
    return {name: frozenset(words) for name, words in found.items()}


@cache
def _shots(prompt: str) -> tuple[str, ...]:
    """Examples of a prompt version; none for a prompt that only made the set more varied."""
    try:
        return PromptFile.load(prompt).shots
    except ConfigError:
        return ()


if __name__ == "__main__":
    main()
