"""Task `item_profiles`: what each item is and for whom, written by the language model within the night's budget."""

from typing import Any

from ray_tasks.generation.factory import generator_revision
from ray_tasks.profiles.kinds import ITEM
from ray_tasks.profiles.plan import Entity, generation_key
from ray_tasks.profiles.prompts import PromptFile, category_words, item_evidence
from ray_tasks.profiles.rows import publish_profiles
from schemas.config import RunConfig
from schemas.night import Task, night_task, task_arguments


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("item_profiles", task_arguments(__doc__ or "")) as task:
        write_item_profiles(task)


def write_item_profiles(task: Task) -> None:
    """Publish `item_profiles` and `item_profile_rejects`; items with most interactions are served first."""
    documents = task.read("item_documents").read().to_pylist()
    counts = task.read("item_statistics").read(["item_id", "n_interactions"]).to_pylist()
    value = {row["item_id"]: row["n_interactions"] for row in counts}
    ordered = sorted(documents, key=lambda row: (-value.get(row["item_id"], 0), row["item_id"]))
    entities = item_entities(ordered, task.config)
    budget = int(task.config.generator.nightly_token_budget * task.config.generator.item_share)
    publish_profiles(task, ITEM, entities, category_words(row["categories"] for row in documents), budget)


def item_entities(documents: list[dict[str, Any]], config: RunConfig) -> list[Entity]:
    """Rows of `item_documents` as entities, in the same order."""
    prompt, revision = PromptFile.load(ITEM.prompt_version), generator_revision(config.generator)
    entities = []
    for row in documents:
        evidence = item_evidence(
            row["item_id"], row["title"], row["categories"], row["document"], config.generator.item_kind
        )
        key = generation_key(config.generator, revision, prompt, evidence)
        entities.append(Entity(evidence, key, categories=tuple(row["categories"])))
    return entities


if __name__ == "__main__":
    main()
