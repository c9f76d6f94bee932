"""Task `explanations`: why each published recommendation, from evidence, and each user's taste in a paragraph.

The language model phrases the first places within a budget of its own; templates say the same of all others.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_tasks.explaining.asking import LEAST, Asking, Author, Phrased, all_reused, ask, first_places
from ray_tasks.explaining.blocks import ExplainedBlocks, TasteBlocks, Texts
from ray_tasks.explaining.drafts import LIKES_READ, Draft, Explainer, items_of, likes_of
from ray_tasks.explaining.evidence import Told
from ray_tasks.explaining.statements import Item, Usual
from ray_tasks.explaining.wording import PERSONAL, Popularity
from ray_tasks.interactions.rows import Ints
from ray_tasks.interactions.served import served_users
from ray_tasks.interactions.stored_log import StoredLog, users_alone
from ray_tasks.interactions.user_blocks import StoredBlocks, write_stage
from ray_tasks.interactions.windows import Log, Window, window
from ray_tasks.profiles.wire import Spool
from ray_tasks.ray_session import in_worker, ray_session
from ray_tasks.retrieval.factory import Parameters, SourceFactory
from ray_tasks.retrieval.item_texts import ItemTexts, read_texts
from ray_tasks.retrieval.popularity import counts
from ray_tasks.retrieval.side_by_side import fit_all
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.batches import in_batches
from schemas.candidates_config import Candidates
from schemas.config import RunConfig, with_changes
from schemas.errors import LakeError
from schemas.lake import Snapshot
from schemas.night import Task, night_task, run_folder, task_arguments, task_records
from schemas.ranking_config import Explanations
from schemas.repeat import repeated
from schemas.stage_files import write_rows
from schemas.tables.explanation_rejects import EXPLANATION_REJECTS

if TYPE_CHECKING:
    from ray import ObjectRef

log = logging.getLogger("nightrec.explanations")

PUBLISHED = ("explanations", "taste_summaries", "explanation_rejects")


def main() -> None:
    """Read the pinned tables, refit the sources that proposed, phrase what the budget allows, explain, publish."""
    with night_task("explanations", task_arguments(__doc__ or "")) as task:
        if repeated(task):
            task.counters.update(all_reused(task.counters))
            return
        recommended, profiles = task.read("recommendations"), task.read("user_profiles")
        explained, tastes, refused = (task.stage(name) for name in PUBLISHED)
        with ray_session():
            before = phrased_before(task)
            known = {row["generation_key"]: Phrased.of_row(row) for row in before}
            settings = settings_of_arms(task.config, arms_of(recommended))
            events, items = StoredLog.read(task), read_items(task)
            served = served_users(task, events.user_ids)
            explainer = prepare(task, events, "serving", served, items, settings, told_in(before))
            author = author_of(task.config, settings, known)
            asking = phrase(task, explainer, author, known, recommended) if author else Asking({}, (), {}, True)
            texts, size = Texts(author, asking.phrased), task.config.candidates.block_size
            blocks = StoredBlocks.made(ExplainedBlocks, explainer, texts, recommended, profiles, size)
            write_stage(task, explained, blocks, state=texts.digest)
            write_stage(task, tastes, TasteBlocks(served, profiles, items, size))
        write_rows(refused, rejects(task, author, asking))
        task.counters.update({"by_kind": strongest(recommended), **asking.counters})
        for stage in (explained, tastes, refused):
            task.publish(stage)
        if not asking.finished:
            task.recipe = None  # the next night phrases on, though nothing else changes


def arms_of(recommended: Snapshot) -> list[str]:
    """The arms whose lists are published."""
    batches = in_batches(recommended.dataset(), ["arm"])
    return sorted({arm for batch in batches for arm in pc.unique(batch["arm"]).to_pylist()})


def strongest(recommended: Snapshot) -> dict[str, int]:
    """How many rows of `recommendations` each source speaks for most, by source."""
    found = Counter[str]()
    for batch in in_batches(recommended.dataset(), ["sources"]):
        counted = pc.value_counts(pc.list_element(batch["sources"], 0)).to_pylist()
        found.update({one["values"]: one["counts"] for one in counted})
    return dict(sorted(found.items()))


def read_items(task: Task) -> dict[str, Item]:
    """What can be said of the night's items, by id."""
    documents = task.read("item_documents").read(["item_id", "title", "categories"])
    return items_of(documents, task.read("item_profiles").read(["item_id", "themes", "aspects"]))


def prepare(
    task: Task,
    events: StoredLog,
    name: str,
    served: NDArray[np.object_] | None,
    items: Mapping[str, Item],
    settings: Mapping[str, Explanations],
    told: Mapping[tuple[str, str], Told],
) -> "ObjectRef[Explainer]":
    """Fit the personal sources on what a window knows, with the parameters that `candidates` tuned.

    Inside a Ray session, whose workers keep them until its end, and the histories of all users of the window. `served`
    are the users of `serving`.
    """
    tuned = tuned_parameters(task)
    about = name, served, tuned["popularity"]["days"], read_texts(task), task.config.candidates, task.config.seed
    factory, view, taken, popularity = events.made(known_of, *about, parts=4)
    personal = fit_all(factory, {name: values for name, values in tuned.items() if name in PERSONAL})
    made: ObjectRef[Explainer] = in_worker(
        Explainer, view, personal, items, Usual.of(items), taken, popularity, settings, told
    )
    return made


def known_of(
    log: Log,
    name: str,
    served: NDArray[np.object_] | None,
    days: float,
    texts: ItemTexts,
    settings: Candidates,
    seed: int,
) -> tuple[SourceFactory, Window, Ints, Popularity]:
    """Of a window: the factory of its sources, its users, how many took each item in its last days, and which days."""
    view = window(log, name, served)
    factory = SourceFactory(view.log, texts, settings, seed).shared()
    popularity = Popularity(days, datetime.fromtimestamp(view.log.end / 1e6, UTC).date())
    return factory, users_alone(view), counts(view.log, days).astype(np.int64), popularity


def settings_of_arms(config: RunConfig, arms: Iterable[str]) -> dict[str, Explanations]:
    """How the lists of each arm are explained."""
    changes = {arm: {} if arm == config.ranking.arm else config.experiments.changes(arm) for arm in arms}
    return {arm: (with_changes(config, own) if own else config).explanations for arm, own in changes.items()}


def author_of(config: RunConfig, settings: Mapping[str, Explanations], known: Mapping[str, Phrased]) -> Author | None:
    """Who phrases tonight; nobody where no arm lets the model, or where it has said nothing and may say nothing."""
    asks = (config.explanation_tokens or known) and any(one.style == "llm" for one in settings.values())
    return Author.of(config.generator) if asks else None


def phrase(
    task: Task, explainer: "ObjectRef[Explainer]", author: Author, known: Mapping[str, Phrased], recommended: Snapshot
) -> Asking:
    """What the model says of the first places, as far as the budget reaches, and what it has said before."""
    import ray

    budget = task.config.explanation_tokens
    most = budget // LEAST + len(known)
    about = recommended, task.read("user_profiles"), most
    drafts: list[Draft] = ray.get(in_worker(first_drafts, explainer, *about))
    spool = Spool(f"{run_folder(task.config.lake, task.config.run_id)}/answers/explanation")
    words = Vocabulary.from_table(task.read("vocabularies").read()).words()
    asking = ask(map(author.entity, drafts), known, author, budget, task.config.night, spool, words)
    return replace(asking, finished=asking.finished and len(drafts) < most)


def phrased_before(task: Task) -> list[dict[str, Any]]:
    """The newest published rows of what the model was asked."""
    snapshot = task.previous("explanations")
    if snapshot is None:
        return []
    text = ["text", "source", "reason", "generation_key", "generated_on", "prompt_tokens", "output_tokens"]
    names = ["user_id", "item_id", "cited_sources", "evidence", *text]
    batches = in_batches(snapshot.dataset(), names)
    return [row for batch in batches for row in batch.filter(pc.field("generation_key").is_valid()).to_pylist()]


def told_in(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Told]:
    """By user and item, what rows of `explanations` cite."""
    return {(row["user_id"], row["item_id"]): Told.of_row(row) for row in rows}


def first_drafts(explainer: Explainer, recommended: Snapshot, profiles: Snapshot, most: int) -> list[Draft]:
    """Drafts of the first places of lists whose arm lets the model phrase, the most telling places first."""
    places = {arm: one.places for arm, one in explainer.settings.items() if one.style == "llm"}
    first = pc.field("rank") <= max(places.values())
    rows = recommended.dataset().to_table(["user_id", "rank", "arm"], first)
    activity = dict(zip(explainer.view.user_ids.tolist(), explainer.view.history.lengths.tolist(), strict=True))
    chosen = first_places(rows, places, activity, most)
    mine = pc.field("user_id").isin(pa.array(sorted({user_id for user_id, _ in chosen}), pa.string()))
    likes = likes_of(profiles.dataset().to_table(LIKES_READ, mine))
    rows = recommended.dataset().to_table(filter=mine & first)
    by_place = {(draft.row["user_id"], draft.row["rank"]): draft for draft in explainer.drafts(rows, likes)}
    return [by_place[place] for place in chosen]


def rejects(task: Task, author: Author | None, asking: Asking) -> pa.Table:
    """Rows of `explanation_rejects`: tonight's failed attempts, and earlier ones whose evidence is still in use."""
    table, earlier = EXPLANATION_REJECTS, task.previous(EXPLANATION_REJECTS.name)
    kept = [row for row in (earlier.read().to_pylist() if earlier else []) if row["generation_key"] in asking.phrased]
    known = {(row["generation_key"], row["attempt"]) for row in kept}
    if author is not None:
        origin = {
            "model": author.config.model,
            "model_revision": author.revision,
            "prompt_version": author.config.explanation_prompt,
            "generated_on": task.config.night,
        }
        new = [{name: one[name] for name in ("attempt", "reason", "output", "generation_key")} for one in asking.failed]
        kept += [{**one, **origin} for one in new if (one["generation_key"], one["attempt"]) not in known]
    ordered = sorted(kept, key=lambda row: (row["generation_key"], row["attempt"]))
    return pa.Table.from_pylist(ordered, schema=table.schema)


def tuned_parameters(task: Task) -> dict[str, Parameters]:
    """What `candidates` of this run found. Raises LakeError when it has left no record."""
    record = task_records(task.config).get("candidates", {})
    if "tuned" not in record.get("counters", {}):
        raise LakeError(f"run {task.config.run_id} has no record of task candidates: run it before explanations")
    return cast(dict[str, Parameters], record["counters"]["tuned"])


if __name__ == "__main__":
    main()
