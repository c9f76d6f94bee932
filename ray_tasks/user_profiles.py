"""Task `user_profiles`: what each user likes, written by the language model within the night's budget."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ray_tasks.generation.factory import generator_revision
from ray_tasks.profiles.kinds import USER
from ray_tasks.profiles.plan import Entity, generation_key
from ray_tasks.profiles.prompts import PromptFile, category_words, user_evidence
from ray_tasks.profiles.rows import publish_profiles
from schemas.config import RunConfig
from schemas.night import Task, night_task, task_arguments

RECENT, OFTEN = 6, 3
"""Items and categories that a prompt names."""

Item = Mapping[str, Any]


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("user_profiles", task_arguments(__doc__ or "")) as task:
        write_user_profiles(task)


def write_user_profiles(task: Task) -> None:
    """Publish `user_profiles` and `user_profile_rejects`; the most active users are served first."""
    documents = task.read("item_documents").read(["item_id", "title", "categories"]).to_pylist()
    histories = task.read("user_histories").read().to_pylist()
    ordered = sorted(
        histories, key=lambda row: (-row["n_interactions"], -row["last_timestamp"].timestamp(), row["user_id"])
    )
    entities = user_entities(ordered, {row["item_id"]: row for row in documents}, task.config)
    generator = task.config.generator
    budget = generator.nightly_token_budget - int(generator.nightly_token_budget * generator.item_share)
    publish_profiles(task, USER, entities, category_words(row["categories"] for row in documents), budget)


def user_entities(histories: list[dict[str, Any]], items: Mapping[str, Item], config: RunConfig) -> list[Entity]:
    """Rows of `user_histories` as entities, in the same order."""
    prompt, revision = PromptFile.load(USER.prompt_version), generator_revision(config.generator)
    entities = []
    for row in histories:
        chosen = [items[item_id] for item_id in liked(row["items"]) if item_id in items]
        often = Counter(category for item in chosen for category in item["categories"])
        top = sorted(often, key=lambda category: (-often[category], category))[:OFTEN]
        recent = [(item["item_id"], item["title"]) for item in chosen[:RECENT]]
        evidence = user_evidence(row["user_id"], recent, top, len(chosen))
        key = generation_key(config.generator, revision, prompt, evidence)
        entities.append(Entity(evidence, key, titles=tuple(title for _, title in recent)))
    return entities


def liked(history: list[dict[str, Any]]) -> list[str]:
    """item_ids of a history, most recent first, without those that the user rated below their own mean."""
    ratings = [entry["rating"] for entry in history if entry["rating"] is not None]
    floor = sum(ratings) / len(ratings) if ratings else 0.0
    return [entry["item_id"] for entry in history if entry["rating"] is None or entry["rating"] >= floor]


if __name__ == "__main__":
    main()
