"""Template, prompting and the tuned model on the same held-out rows: how good their answers are, what they cost."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_tasks import statistics
from ray_tasks.generation.factory import make_generator
from ray_tasks.generation.protocol import Generation, Generator, Request
from ray_tasks.profiles.checks import Grounds, Rejected
from ray_tasks.profiles.kinds import KINDS
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.wire import to_wire
from ray_tasks.profiles.writer import ProfileWriter
from ray_tasks.statistics import Estimate, Figure
from ray_tasks.tuning.labels import read_labels
from ray_tasks.tuning.pairs import Pair
from ray_tasks.tuning.profiles import TUNED_PROMPTS, answer_of
from ray_tasks.tuning.scoring import YesNoScorer
from schemas.generation_config import Generator as GeneratorConfig

log = logging.getLogger("nightrec.tuning")

FORM = frozenset(("empty", "unparsable", "too_long", "unknown_label", "unknown_evidence", "truncated", "failed"))
"""Reasons of a rejection that concern the form; all others are about what the text claims."""

Scorer = Callable[[Sequence[str]], list[float]]


@dataclass(frozen=True)
class Arm:
    """One way of answering: a generator with its prompts. `prefixes` is what prompts of (task, kind) begin with.

    The arm `template` asks no model: its configuration is None.
    """

    name: str
    config: GeneratorConfig | None
    prefixes: Mapping[tuple[str, str], str]


def all_figures(arm: Arm, material: Any, seed: int, threads: int) -> list[Figure]:
    """All figures of an arm on the held-out rows of `tuning.material.Material`."""
    figures = []
    if pairs := material.of("labels", "test"):
        figures += label_figures(arm, pairs, seed, threads)
    if pairs := material.of("next_item", "test"):
        figures += next_item_figures(arm, pairs, seed, threads)
    for kind, entities in material.held_out.items():
        figures += profile_figures(arm, kind, entities, material.words, seed=seed, threads=threads)
    return figures


def label_figures(
    arm: Arm, pairs: Sequence[Pair], seed: int, threads: int, generator: Generator | None = None
) -> list[Figure]:
    """Validity, micro and macro F1 of the labels against the hidden ones, seconds and tokens per answer."""
    options = sorted({label for pair in pairs for label in (*pair.gold, *allowed_labels(pair))})
    cost: dict[str, Estimate] = {}
    answers: list[tuple[str, ...] | None] = [template_labels(pair) for pair in pairs]
    if arm.config is not None:
        generator = generator or make_generator(arm.config, arm.prefixes["labels", "item"], threads)
        written, seconds = ask(generator, [Request(pair.prompt, pair.schema) for pair in pairs], arm.config.batch_size)
        answers = [read_labels(one.text, frozenset(options)) for one in written]
        cost = _cost(written, seconds, seed)
    return [
        Figure(arm.name, "item", "labels", name, found)
        for name, found in {**label_quality(answers, pairs, options, seed), **cost}.items()
    ]


def label_quality(
    answers: Sequence[tuple[str, ...] | None], pairs: Sequence[Pair], options: Sequence[str], seed: int
) -> dict[str, Estimate]:
    """Validity, micro_f1 and macro_f1; an answer of None is not valid and names no label."""
    predicted = _matrix([answer or () for answer in answers], options)
    gold = _matrix([pair.gold for pair in pairs], options)
    return {
        "validity": statistics.mean([answer is not None for answer in answers], seed),
        "micro_f1": statistics.micro_f1(predicted, gold, seed),
        "macro_f1": statistics.macro_f1(predicted, gold, seed),
    }


def next_item_figures(
    arm: Arm, pairs: Sequence[Pair], seed: int, threads: int, score: Scorer | None = None
) -> list[Figure]:
    """AUC of how sure the arm is of yes, and seconds per answer."""
    figures: dict[str, Estimate] = {}
    if arm.config is None:
        scores = [pair.template if isinstance(pair.template, float) else 0.0 for pair in pairs]
    else:
        score = score or YesNoScorer(arm.config.path, arm.prefixes["next_item", "user"], threads).scores
        started = time.monotonic()
        scores = score([pair.prompt for pair in pairs])
        each = (time.monotonic() - started) / max(1, len(pairs))
        figures["seconds_per_answer"] = _constant(each, len(pairs))
    figures["auc"] = statistics.auc(scores, ["Yes" in pair.gold for pair in pairs], seed)
    return [Figure(arm.name, "user", "next_item", name, found) for name, found in figures.items()]


def profile_figures(
    arm: Arm,
    kind: str,
    entities: Sequence[Entity],
    words: frozenset[str],
    *,
    seed: int,
    threads: int,
    generator: Generator | None = None,
) -> list[Figure]:
    """Validity (parses, in schema) and grounding (passes all checks) of first attempts; seconds and tokens, all."""
    if not entities:
        return []
    if arm.config is None:
        reasons, cost = _template_reasons(kind, entities, words), {}
    else:
        writer = ProfileWriter(kind, arm.config, words, threads, generator)
        started = time.monotonic()
        blocks = to_wire(entities, arm.config.batch_size)
        rows = [row for block in blocks for row in writer(block).to_pylist()]
        seconds = time.monotonic() - started
        reasons = [row["reason"] for row in rows if row["attempt"] == 0]
        tokens = sum(row["prompt_tokens"] + row["output_tokens"] for row in rows) / len(entities)
        cost = {"seconds_per_answer": seconds / len(entities), "tokens_per_answer": tokens}
    figures = {
        "validity": statistics.mean([reason not in FORM for reason in reasons], seed),
        "grounding": statistics.mean([reason is None for reason in reasons], seed),
        **{name: _constant(value, len(entities)) for name, value in cost.items()},
    }
    return [Figure(arm.name, kind, "profile", name, found) for name, found in figures.items()]


def ask(generator: Generator, requests: Sequence[Request], size: int) -> tuple[list[Generation], float]:
    """Answers in the order of the requests, asked in batches of like length; and the seconds that it took."""
    order = sorted(range(len(requests)), key=lambda at: (-len(requests[at].text), at))
    found: dict[int, Generation] = {}
    started = time.monotonic()
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        found.update(zip(rows, generator.generate([requests[at] for at in rows]), strict=True))
    return [found[at] for at in range(len(requests))], time.monotonic() - started


def allowed_labels(pair: Pair) -> list[str]:
    """The labels that a pair's schema allows."""
    return list(json.loads(pair.schema)["properties"]["themes"]["items"]["enum"])


def template_labels(pair: Pair) -> tuple[str, ...]:
    """The labels that the rule without a model gives."""
    return pair.template if isinstance(pair.template, tuple) else ()


def _template_reasons(kind: str, entities: Sequence[Entity], words: frozenset[str]) -> list[str | None]:
    found: list[str | None] = []
    for entity in entities:
        answer = answer_of(kind, KINDS[kind].template(entity.evidence), entity.evidence)
        outcome = KINDS[kind].check(answer, entity.evidence, Grounds((), words))
        found.append(outcome.reason if isinstance(outcome, Rejected) else None)
    return found


def _matrix(answers: Sequence[tuple[str, ...]], options: Sequence[str]) -> Any:
    places = {label: at for at, label in enumerate(options)}
    found = np.zeros((len(answers), len(options)), dtype=bool)
    for row, labels in enumerate(answers):
        found[row, [places[label] for label in labels]] = True
    return found


def _cost(written: Sequence[Generation], seconds: float, seed: int) -> dict[str, Estimate]:
    tokens = [one.prompt_tokens + one.output_tokens for one in written]
    each = _constant(seconds / max(1, len(written)), len(written))
    return {"seconds_per_answer": each, "tokens_per_answer": statistics.mean(tokens, seed)}


def _constant(value: float, n: int) -> Estimate:
    """A figure without an interval: one measurement."""
    return Estimate(value, float("nan"), float("nan"), n, np.zeros(0))


def prompting(config: GeneratorConfig, prefixes: Mapping[tuple[str, str], str]) -> Arm:
    """The untuned model with few-shot prompts: what a night does without an adapter."""
    return Arm("prompting", config, prefixes)


def tuned(
    config: GeneratorConfig, folder: str, instructions: Mapping[tuple[str, str], str], versions: Mapping[str, str]
) -> Arm:
    """The tuned model in `folder`, with instructions alone where it has learned the form; `versions` are by kind."""
    prompts = {"item_prompt": versions["item"], "user_prompt": versions["user"]}
    prefixes = {key: f"{text}\n\n" for key, text in instructions.items()}
    return Arm("lora", config.model_copy(update={"path": folder, **prompts}), prefixes)


def instructions() -> dict[tuple[str, str], str]:
    """What prompts of each (task, kind) begin with for the tuned model."""
    versions = {("labels", "item"): "item_labels.v1", ("next_item", "user"): "next_item.v1"}
    versions |= {("profile", kind): version for kind, version in TUNED_PROMPTS.items()}
    return {key: PromptFile.load(version).text for key, version in versions.items()}
