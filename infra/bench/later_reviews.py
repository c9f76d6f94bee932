"""Do explanations speak of what users then write of the items themselves? (part of `make bench-explanations`)

Users' reviews of the test period are the reference: of each item that a user took and reviewed then, and that some
source had proposed from what was known before, the night's code explains why, by template and by the language model.
An aspect that an explanation names is right where the user's own review of the item names it too. What the same
explanations share with the review of another pair, drawn at random, is chance. Profiles of users are left out: they
know the whole history.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_tasks.explaining.asking import Author, ask
from ray_tasks.explaining.drafts import Draft
from ray_tasks.explaining.statements import text_of
from ray_tasks.explanations import prepare, read_items
from ray_tasks.interactions.stored_log import StoredLog
from ray_tasks.profiles.wire import Spool
from ray_tasks.ranker.features import Lists
from ray_tasks.ranker.ranked_lists import by_rank, recommendations
from ray_tasks.ray_session import ray_session
from ray_tasks.statistics import mean
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.night import Task

SEED, CHARACTERS = 20_241, 2_000


def later_reviews(task: Task, size: int, folder: Path) -> dict[str, Any] | None:
    """By source of the text: pairs explained, explanations that name an aspect, and how often it is the user's own too.

    `template_of_the_same` is the template's text for the pairs that the model phrased, to compare the two.
    None where the source has no reviews of the test period.
    """
    vocabulary = Vocabulary.from_table(task.read("vocabularies").read())
    reviews = reviews_of(task)
    if not reviews or not vocabulary.labels("aspect"):
        return None
    author = Author.of(task.config.generator)
    with ray_session():
        import ray

        settings = {task.config.ranking.arm: task.config.explanations}
        explainer = ray.get(prepare(task, StoredLog.read(task), "test", None, read_items(task), settings, {}))
        drafts = explainer.drafts(taken(task, reviews, size), {})
        entities = [author.entity(draft) for draft in drafts]
        asking = ask(entities, {}, author, 10**9, date.max, Spool(str(folder)), vocabulary.words())
    phrased = [asking.phrased.get(entity.key) for entity in entities]
    both = [(draft, one.text) for draft, one in zip(drafts, phrased, strict=True) if one and one.text]
    texts = {
        "template": [(draft, text_of(draft.statements)) for draft in drafts],
        "llm": both,
        "template_of_the_same": [(draft, text_of(draft.statements)) for draft, _ in both],
    }
    return {name: overlap(told, reviews, vocabulary) for name, told in texts.items()}


def reviews_of(task: Task) -> dict[tuple[str, str], str]:
    """By user and item, what the user wrote in the test period."""
    test = task.read("splits").read(["user_id", "item_id", "split"])
    test = test.filter(pc.equal(test["split"], "test"))
    pairs = set(zip(test["user_id"].to_pylist(), test["item_id"].to_pylist(), strict=True))
    told = task.read("interactions").dataset().to_table(["user_id", "item_id", "review"], pc.field("review").is_valid())
    columns = (told[name].to_pylist() for name in ("user_id", "item_id", "review"))
    return {(user, item): review for user, item, review in zip(*columns, strict=True) if (user, item) in pairs}


def taken(task: Task, reviews: Mapping[tuple[str, str], str], size: int) -> pa.Table:
    """Rows of `recommendations` for items that users took in the test period, reviewed, and that a source proposed."""
    hits = (pc.field("window") == "test") & (pc.field("label") > 0)
    rows = task.read("candidates").dataset().to_table(filter=hits)
    pairs = zip(rows["user_id"].to_pylist(), rows["item_id"].to_pylist(), strict=True)
    reviewed = np.flatnonzero([pair in reviews for pair in pairs])
    chosen = np.sort(np.random.default_rng(SEED).permutation(reviewed)[:size])
    lists = Lists.of(rows.take(pa.array(chosen)))
    return recommendations(lists, np.zeros(len(chosen)), size, task.config.ranking.arm, strengths=by_rank)


def overlap(
    told: Sequence[tuple[Draft, str]], reviews: Mapping[tuple[str, str], str], vocabulary: Vocabulary
) -> dict[str, Any]:
    """How often the aspects that texts name are those of the user's own review, and of another pair's."""
    named = [set(vocabulary.found_in(text, "aspect")) for _, text in told]
    own = [
        set(vocabulary.found_in(reviews[draft.row["user_id"], draft.row["item_id"]][:CHARACTERS], "aspect"))
        for draft, _ in told
    ]
    others = [own[at] for at in np.random.default_rng(SEED).permutation(len(own))]
    speaking = [at for at, aspects in enumerate(named) if aspects]
    figures: dict[str, Any] = {"pairs": len(told), "naming_an_aspect": len(speaking)}
    for name, reference in (("right", own), ("right_by_chance", others)):
        shares = [len(named[at] & reference[at]) / len(named[at]) for at in speaking]
        found = mean(shares, SEED)
        figures[name] = {"share": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
    return figures
