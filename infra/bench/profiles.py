"""How well profiles name what an item is: labels against genres and tags that prompts do not show.

    python infra/bench/profiles.py --ml-1m FOLDER --steam FOLDER

Three arms answer for the same held-out items of each set: the template (votes of near items), the model with four
examples (prompting), and the model tuned with LoRA on the other items. Figures go to docs/benchmarks/profiles.json,
they and ten random samples to docs/profiles.md. The folders are downloads of your own: `--ml-1m` holds
items_enriched.parquet (title, genres, plot) and ratings.parquet, `--steam` items.parquet (title, genres, tags) and
interactions.parquet (review texts). Two cores take about half an hour for both.
"""

import argparse
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from profiles_data import DataSet, movielens, steam
from profiles_page import page

from measurement import circumstances
from ray_tasks.generation.factory import make_generator, make_token_counter
from ray_tasks.generation.protocol import Request
from ray_tasks.statistics import Figure
from ray_tasks.tuning import evaluation, labels, promotion
from ray_tasks.tuning.evaluation import Arm
from ray_tasks.tuning.labels import MOST, Told, label_pairs
from ray_tasks.tuning.lora import Adapter, train
from ray_tasks.tuning.material import chosen_matrix
from ray_tasks.tuning.merged import merged
from ray_tasks.tuning.pairs import Pair, choose, few_shot, shots
from ray_tasks.tuning.profiles import TUNED_PROMPTS
from schemas.generation_config import Generator, Tuning

log = logging.getLogger("nightrec.bench")

HOME = Path(__file__).resolve().parents[2]
SEED, SHOTS, SAMPLES = 20_241, 4, 10
LABELS, FEWEST = 60, 5
"""Labels of a data set at most, and the fewest items that must carry one."""

Row = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Run the data sets that are given; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ml-1m", type=Path, default=os.environ.get("ML_1M"), help="folder of MovieLens 1M")
    parser.add_argument("--steam", type=Path, default=os.environ.get("STEAM_REVIEWS"), help="folder of Steam reviews")
    parser.add_argument("--model", default=f"{os.environ.get('NIGHTREC_ASSETS', 'build/assets')}/smollm2-135m-instruct")
    parser.add_argument("--minutes", type=float, default=9, help="training per data set")
    parser.add_argument("--items", type=int, default=150, help="held-out items per data set")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--to", type=Path, default=HOME / "docs", help="folder of the figures")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    loaders: dict[str, tuple[Callable[[Path], DataSet], Path | None]] = {
        "ml-1m": (movielens, given.ml_1m),
        "steam": (steam, given.steam),
    }
    found = {name: measure(load(Path(path)), given) for name, (load, path) in loaders.items() if path}
    if not found:
        parser.error("no data set given: --ml-1m, --steam, or the variables ML_1M and STEAM_REVIEWS")
    write(found, given.to, {"minutes": given.minutes, "threads": given.threads, "seed": SEED})
    return 0


def measure(data: DataSet, given: argparse.Namespace) -> Row:
    """Figures and samples of all arms on one data set."""
    started = time.monotonic()
    config = Generator(path=given.model, item_kind=data.kind, adapter=None)
    pairs = pairs_of(data, config, given.items)
    text = evaluation.instructions()
    tuning = Tuning(max_minutes=given.minutes, epochs=4)
    adapter = train(given.model, pairs, text, tuning, seed=SEED, threads=given.threads)
    test = [pair for pair in pairs if pair.part == "test"]
    prefix = {("labels", "item"): few_shot(text["labels", "item"], shots(pairs, SHOTS, SEED))}
    with TemporaryDirectory() as home, merged(given.model, adapter.files, home) as made:
        arms = [
            Arm("template", None, {}),
            evaluation.prompting(config, prefix),
            evaluation.tuned(config, str(made), text, TUNED_PROMPTS),
        ]
        results = [answered(arm, test, given.threads) for arm in arms]
        log.info("%s: %s", data.name, _by_arm([figure for found, _ in results for figure in found]))
    figures = [figure for found, _ in results for figure in found]
    said = {arm.name: texts for arm, (_, texts) in zip(arms, results, strict=True)}
    titles = {row["item_id"]: row["title"] for row in data.documents}
    return {
        "items": len(test),
        "labels": len(evaluation.allowed_labels(test[0])),
        "arms": _by_arm(figures),
        "lora_beats_prompting": promotion.verdict([f for f in figures if f.metric != "macro_f1"]).promoted,
        "training": _training_figures(adapter),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "data_hash": data.content_hash,
        "samples": _samples(test, said, titles),
    }


def pairs_of(data: DataSet, config: Generator, held_out: int) -> list[Pair]:
    """Label pairs of a data set; its labels are the most frequent categories, as a catalogue's vocabulary has them."""
    counts = Counter(label.lower() for row in data.documents for label in set(row["categories"]))
    known = {label for label, count in counts.most_common(LABELS) if count >= FEWEST}
    gold = {
        row["item_id"]: tuple(label for label in map(str.lower, row["categories"]) if label in known)[:MOST]
        for row in data.documents
    }
    gold = {item_id: found for item_id, found in gold.items() if found}
    wanted = choose(gold, {"train": 2_000, "validation": 40, "test": held_out}, SEED)
    chosen = chosen_matrix(data.events, [row["item_id"] for row in data.documents])
    told = Told(data.kind, make_token_counter(config), config.evidence_tokens, data.reviews)
    return label_pairs(data.documents, wanted, gold, chosen, told, seed=SEED)


def answered(arm: Arm, pairs: Sequence[Pair], threads: int) -> tuple[list[Figure], list[list[str]]]:
    """An arm's figures, and what it answered to each pair."""
    if arm.config is None:
        figures = evaluation.label_figures(arm, pairs, SEED, threads)
        return figures, [list(evaluation.template_labels(pair)) for pair in pairs]
    recorder = _Recorder(make_generator(arm.config, arm.prefixes["labels", "item"], threads))
    figures = evaluation.label_figures(arm, pairs, SEED, threads, recorder)
    options = frozenset(evaluation.allowed_labels(pairs[0]))
    return figures, [list(labels.read_labels(recorder.texts[pair.prompt], options) or ()) for pair in pairs]


class _Recorder:
    """A generator that remembers what it answered."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self.texts: dict[str, str] = {}

    def generate(self, requests: Sequence[Request]) -> Any:
        """As the generator."""
        answers = self._generator.generate(requests)
        self.texts.update({r.text: one.text for r, one in zip(requests, answers, strict=True)})
        return answers


def _by_arm(figures: Sequence[Figure]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for one in figures:
        interval = {"low": round(one.estimate.low, 4), "high": round(one.estimate.high, 4)}
        known = {} if one.estimate.low != one.estimate.low else interval
        found.setdefault(one.arm, {})[one.metric] = {"value": round(one.estimate.value, 4), **known}
    return found


def _training_figures(adapter: Adapter) -> Row:
    return {
        "pairs": adapter.examples,
        "steps": adapter.steps,
        "seconds": adapter.seconds,
        "tokens": adapter.tokens,
        "tokens_per_second": round(adapter.tokens / adapter.seconds, 1),
        "ended_by": adapter.ended,
        "validation_losses": [point.validation_loss for point in adapter.curve],
    }


def _samples(pairs: Sequence[Pair], said: Mapping[str, list[list[str]]], titles: Mapping[str, str]) -> list[Row]:
    drawn = random.Random(SEED)  # noqa: S311 - samples for readers, no secret
    places = sorted(drawn.sample(range(len(pairs)), min(SAMPLES, len(pairs))))
    return [
        {
            "title": titles[pairs[at].entity_id],
            "hidden": list(pairs[at].gold),
            **{arm: texts[at] for arm, texts in said.items()},
        }
        for at in places
    ]


def write(found: Mapping[str, Row], folder: Path, settings: Row) -> None:
    """Figures as JSON, figures and samples as a page."""
    figures = {name: {key: value for key, value in one.items() if key != "samples"} for name, one in found.items()}
    document = {**settings, **circumstances(HOME), **figures}
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks" / "profiles.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (folder / "profiles.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
