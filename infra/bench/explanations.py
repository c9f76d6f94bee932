"""Are a night's explanations grounded, faithful, diverse and readable? (`make bench-explanations` after a night)

Grounded: every published text against a checker that shares no code with the night's own. Faithful: without the history
items that an explanation cites, the item's score must fall more than without as many others, drawn at random (erasure,
as in DeYoung et al. 2020, ERASER); the night's own sources and ranker score the histories. The language model and the
template are told apart. Where users review, what they later write of an item is held against its explanation. Figures
go to build/bench/explanations-<source>.json.
"""

import argparse
import json
import logging
import re
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from later_reviews import later_reviews

from dag_run import HOME, last_night, prepare
from explanation_checker import QUOTATION, check, words
from measurement import measurement, written
from ray_tasks.explanations import tuned_parameters
from ray_tasks.interactions.rows import Floats, Rows
from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.windows import read_log, window
from ray_tasks.ranker.champion import champion_of
from ray_tasks.ranker.election import Terms
from ray_tasks.ranker.features import Lists
from ray_tasks.ranker.gate import ServingModel
from ray_tasks.ranker.registry import RankerRegistry
from ray_tasks.retrieval.candidate_blocks import ItemFeatures, Scorer, Users
from ray_tasks.retrieval.factory import SourceFactory
from ray_tasks.retrieval.item_texts import read_texts
from ray_tasks.statistics import mean
from schemas.config import RunConfig
from schemas.lake import Lake
from schemas.night import Task, load_config, task_records

SEED, BLOCK = 20_241, 256
Row = dict[str, Any]


def main() -> int:
    """Measure a night's explanations; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="frozen configuration of a night (default: the last one here)")
    parser.add_argument("--sample", type=int, default=600, help="explanations whose history items are left out")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    prepare()
    frozen = given.config or last_night()
    if frozen is None:
        return 1
    config = load_config(frozen)
    folder = HOME / "build" / "bench" / "explanations"
    shutil.rmtree(folder, ignore_errors=True)
    rows = Lake(config.lake).snapshot("explanations", config.night).read().to_pylist()
    checked = check(config.lake, config.night)
    figures = {
        "source": config.source.name,
        "night": config.night.isoformat(),
        "explanations": checked["rows"],
        "by_source": checked["by_source"],
        "ungrounded": checked["ungrounded"],
        "ungrounded_examples": checked["first"],
        "users": len({row["user_id"] for row in rows}),
        "users_with_evidence": len({row["user_id"] for row in rows if row["evidence"]}),
        "texts": {source: texts_of([r for r in rows if r["source"] == source]) for source in ("llm", "template")},
        "faithfulness": faithfulness(task_of(config), rows, given.sample),
        "later_reviews": later_reviews(task_of(config), given.sample, folder / "later-reviews"),
        **measurement(frozen),
    }
    written(HOME, f"explanations-{config.source.name}", figures)
    shown = ("explanations", "by_source", "ungrounded", "users", "users_with_evidence", "texts", "faithfulness")
    shown = (*shown, "later_reviews")
    print(json.dumps({name: figures[name] for name in shown}, indent=2, ensure_ascii=False))
    return int(bool(figures["ungrounded"]))


def texts_of(rows: Sequence[Mapping[str, Any]]) -> Row:
    """How many texts there are, how many differ, with titles and without, and how easily they are read."""
    texts = [row["text"] for row in rows]
    if not texts:
        return {"rows": 0}
    bare = [QUOTATION.sub("“”", text) for text in texts]
    return {
        "rows": len(texts),
        "distinct_share": round(len(set(texts)) / len(texts), 4),
        "distinct_without_titles": len(set(bare)),
        "statements_per_text": round(statistics.mean(len(row["statements"]) for row in rows), 2),
        "words_per_text": round(statistics.mean(len(words(text)) for text in texts), 1),
        "flesch_reading_ease": round(statistics.mean(map(reading_ease, bare)), 1),
    }


def reading_ease(text: str) -> float:
    """Flesch's reading ease, titles left out; 60 and above is plain English. Syllables are groups of vowels."""
    said = words(text)
    sentences = max(1, len(re.findall(r"[.!?:]", text)))
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", word.removesuffix("e")))) for word in said)
    return 206.835 - 1.015 * len(said) / sentences - 84.6 * syllables / max(1, len(said))


def task_of(config: RunConfig) -> Task:
    """The night's tables as one of its tasks reads them; it publishes nothing and leaves no record."""
    outputs = {table: found for record in task_records(config).values() for table, found in record["outputs"].items()}
    return Task("bench", config, Lake(config.lake), outputs, "bench-1")


def faithfulness(task: Task, rows: Sequence[Mapping[str, Any]], size: int) -> Row:
    """How much a score falls without the cited history items, and without as many others; per source of the text.

    A score is the ranker's; an item that no source proposes any more has the least score of its list.
    """
    scorer, users, model = night_scorer(task)
    chance, ids = np.random.default_rng(SEED), {item: at for at, item in enumerate(scorer.item_ids.tolist())}
    place = {user: at for at, user in enumerate(users.user_ids.tolist())}
    usable = [
        row for row in rows if row["evidence"] and len(users.history[place[row["user_id"]]]) >= 2 * len(row["evidence"])
    ]
    by_model = [row for row in usable if row["source"] == "llm"]
    others = [row for row in usable if row["source"] != "llm"]
    drawn = [part[at] for part in (by_model, others) for at in chance.permutation(len(part))[: size // 2]]
    whole, without_cited, without_others = [], [], []
    for row in drawn:
        history = users.history[place[row["user_id"]]]
        cited = np.isin(history, [ids[piece["item_id"]] for piece in row["evidence"]])
        random = np.isin(np.arange(len(history)), chance.choice(np.flatnonzero(~cited), cited.sum(), replace=False))
        whole.append(history)
        without_cited.append(history[~cited])
        without_others.append(history[~random])
    idle = users.idle_days[[place[row["user_id"]] for row in drawn]]
    items = np.array([ids[row["item_id"]] for row in drawn])
    scores = [scores_of(scorer, model, part, idle, items) for part in (whole, without_cited, without_others)]
    drops = np.stack([scores[0] - scores[1], scores[0] - scores[2]])
    is_llm = np.array([row["source"] == "llm" for row in drawn])
    return {"all": _drops(drops), "llm": _drops(drops[:, is_llm]), "template": _drops(drops[:, ~is_llm])}


def night_scorer(task: Task) -> tuple[Scorer, Users, ServingModel]:
    """Sources fitted and ranker loaded as the night had them."""
    settings, config = task.config.candidates, task.config
    known = read_log(task.read("splits"), task.read("items"), config)
    view = window(known, "serving", served_users(task, known.user_ids))
    factory = SourceFactory(view.log, read_texts(task), settings, config.seed)
    sources = {}
    for name, parameters in tuned_parameters(task).items():
        logging.info("fitting %s", name)
        sources[name] = factory.fit(name, parameters)
    registry, terms = RankerRegistry(config), Terms.of(config)
    champion = champion_of(registry.versions(), terms.as_of, terms.fits)
    if champion is None:
        raise SystemExit("the night's ranker is not registered: faithfulness needs the one that served")
    scorer = Scorer(view.name, sources, view.log.item_ids, ItemFeatures.of(view.log), settings.per_source)
    return scorer, Users.of(view), registry.load(champion)


def scores_of(scorer: Scorer, model: ServingModel, histories: Sequence[Any], idle: Any, items: Any) -> Floats:
    """The ranker's score of one item for each history."""
    found = np.zeros(len(histories))
    for start in range(0, len(histories), BLOCK):
        part = list(histories[start : start + BLOCK])
        names = np.array([f"{start + at:09d}" for at in range(len(part))], dtype=object)
        lengths = [len(one) for one in part]
        rows = Rows.of(np.repeat(np.arange(len(part)), lengths), np.concatenate(part), len(part))
        lists = Lists.of(scorer.table(Users(names, rows, idle[start : start + len(part)], None)))
        scores = model.score(lists)
        wanted = scorer.item_ids[items[start : start + len(part)]][lists.user_of]
        hit = pc.equal(lists.table["item_id"], wanted.tolist()).to_numpy()
        least = np.full(len(part), np.inf)
        np.minimum.at(least, lists.user_of, scores)
        least[lists.user_of[hit]] = scores[hit]
        found[start : start + len(part)] = least
    return found


def _drops(drops: Floats) -> Row:
    """Mean falls with 95% intervals, and how often the cited items weigh more than the random ones."""
    cited, random = drops
    told = {"cited": mean(cited, SEED), "random": mean(random, SEED), "difference": mean(cited - random, SEED)}
    return {
        "explanations": len(cited),
        **{
            name: {"drop": round(e.value, 4), "low": round(e.low, 4), "high": round(e.high, 4)}
            for name, e in told.items()
        },
        "cited_weigh_more": round(float(np.mean(cited > random)), 4) if len(cited) else None,
    }


if __name__ == "__main__":
    sys.exit(main())
