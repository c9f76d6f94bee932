"""Task `user_profiles`: what each user likes, written by the language model within the night's budget."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ray_tasks.evidence.catalogue import Catalogue
from ray_tasks.evidence.tastes import Taste, typical
from ray_tasks.evidence.users import UserFacts, user_evidence
from ray_tasks.generation.factory import generator_revision, make_token_counter
from ray_tasks.interactions.id_parts import IdParts
from ray_tasks.profiles.entity_files import EntityFiles
from ray_tasks.profiles.kinds import USER
from ray_tasks.profiles.plan import Entity, generation_key, recipe_key
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.publication import publish_profiles
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.config import RunConfig
from schemas.errors import LakeError
from schemas.generation_config import Generator
from schemas.night import Task, night_task, task_arguments, task_records
from schemas.stage_files import write_rows
from schemas.tables import TABLES

VERDICTS = {"like": "like", "dislike": "dislike", "hide_item": "dislike"}
"""Kinds of feedback that state a preference."""

SAID = {
    "interactions": (["user_id", "item_id", "timestamp", "review"], pc.field("review").is_valid()),
    "requests": (["user_id", "timestamp", "text"], None),
    "feedback": (["user_id", "item_id", "timestamp", "kind"], None),
}
"""Where users say something: by table, the columns and rows that are read."""

PART = 1_000
"""Users whose histories and profiles are in memory at once."""

Row = Mapping[str, Any]


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("user_profiles", task_arguments(__doc__ or "")) as task:
        write_user_profiles(task)


def write_user_profiles(task: Task) -> None:
    """Publish `user_profiles`, `user_profile_rejects` and the night's `generation_costs`."""
    documents = task.read("item_documents").read().to_pylist()
    profiles = task.read("item_profiles").read(["item_id", "themes"]).to_pylist()
    counts = task.read("item_statistics").read(["item_id", "n_interactions"]).to_pylist()
    vocabulary = Vocabulary.from_table(task.read("vocabularies").read())
    catalogue = Catalogue.of(documents, vocabulary, profiles)
    usual = typical(catalogue.themes_of, {row["item_id"]: row["n_interactions"] for row in counts})
    reader = UserReader.of(catalogue, usual, task.config)
    with tempfile.TemporaryDirectory(prefix="nightrec-users-") as folder:
        entities = EntityFiles(Path(folder), entities_in_parts(task, reader, Path(folder)))
        costs = publish_profiles(task, USER, entities, vocabulary, vocabulary.words())
    publish_costs(task, costs)


def entities_in_parts(task: Task, reader: "UserReader", folder: Path) -> Iterator[list[Entity]]:
    """All users of `user_histories` in the order of their ids, PART at a time; `folder` holds what waits."""
    histories = task.read("user_histories")
    users = histories.read(["user_id"])["user_id"].to_numpy()
    parts = IdParts(users, "user_id", PART, folder)
    parts.put(histories)
    for name, (columns, where) in SAID.items():
        parts.put(task.read(name), columns, where)
    for number in range(len(parts)):
        facts = facts_of(*(parts.get(name, number) for name in SAID))
        rows = parts.get("user_histories", number).to_pylist()
        yield [reader.entity(row, facts.get(row["user_id"])) for row in rows]


@dataclass(frozen=True)
class UserReader:
    """Makes entities of users. `usual` is `typical`; `count` tells how many tokens a text has."""

    catalogue: Catalogue
    usual: Mapping[str, float]
    generator: Generator
    recipe: str
    count: Callable[[str], int]

    @classmethod
    def of(cls, catalogue: Catalogue, usual: Mapping[str, float], config: RunConfig) -> "UserReader":
        """For the configured generator and prompt. Raises ModelError when the model's files are not in order."""
        generator = config.generator
        recipe = recipe_key(generator, generator_revision(generator), PromptFile.load(generator.user_prompt))
        return cls(catalogue, usual, generator, recipe, make_token_counter(generator))

    def entity(self, history: Row, facts: UserFacts | None = None) -> Entity:
        """From a row of `user_histories` and what the user said."""
        taste = Taste.of(history["items"], self.catalogue.themes_of, self.usual, facts.feedback if facts else None)
        about = self.catalogue, self.usual, self.count, self.generator.evidence_tokens
        evidence = user_evidence(history["user_id"], taste, *about, facts)
        key = generation_key(self.recipe, evidence, USER.schema(evidence, self.generator))
        return Entity(evidence, self.recipe, key, history["n_interactions"], figures_of(taste))


def user_entities(
    histories: Iterable[Row],
    catalogue: Catalogue,
    usual: Mapping[str, float],
    config: RunConfig,
    known: Mapping[str, UserFacts] | None = None,
) -> list[Entity]:
    """Rows of `user_histories` as entities. `usual` is `typical`; `known` is what users said, by user_id."""
    reader = UserReader.of(catalogue, usual, config)
    return [reader.entity(row, (known or {}).get(row["user_id"])) for row in histories]


def figures_of(taste: Taste) -> dict[str, Any]:
    """The computed columns: strengths of likes and dislikes, avoided themes, confidence."""
    return {
        "likes": taste.likes,
        "dislikes": taste.dislikes,
        "avoided": list(taste.avoided),
        "confidence": taste.confidence,
    }


def user_facts(task: Task) -> dict[str, UserFacts]:
    """What all users said before as_of, by user_id."""
    return facts_of(*(task.read(name).read(columns, where) for name, (columns, where) in SAID.items()))


def facts_of(interactions: pa.Table, requests: pa.Table, feedback: pa.Table) -> dict[str, UserFacts]:
    """Own reviews and wishes, newest first, and feedback on items, by user_id; the tables as SAID reads them."""
    reviews, wishes, stated = map(_newest, (interactions, requests, feedback))
    return {
        user_id: UserFacts(
            _first((row["item_id"], row["review"]) for row in reviews.get(user_id, [])),
            [row["text"] for row in wishes.get(user_id, [])],
            _first(
                (row["item_id"], VERDICTS[row["kind"]]) for row in stated.get(user_id, []) if row["kind"] in VERDICTS
            ),
        )
        for user_id in {*reviews, *wishes, *stated}
    }


def publish_costs(task: Task, costs: Row) -> None:
    """Publish `generation_costs`: this task's row and that of `item_profiles`, which its record holds.

    Raises LakeError when the run has no record of it.
    """
    record = task_records(task.config).get("item_profiles", {}).get("counters", {})
    if "costs" not in record:
        raise LakeError(f"run {task.config.run_id} has no record of task item_profiles: run it before user_profiles")
    stage = task.stage("generation_costs")
    write_rows(stage, pa.Table.from_pylist([record["costs"], dict(costs)], schema=TABLES["generation_costs"].schema))
    task.publish(stage)


def _first(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first value of each key, in the order of the keys' first occurrence."""
    found: dict[str, str] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _newest(rows: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """Rows by user, newest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.sort_by([("timestamp", "descending")]).to_pylist():
        found.setdefault(row["user_id"], []).append(row)
    return found


if __name__ == "__main__":
    main()
