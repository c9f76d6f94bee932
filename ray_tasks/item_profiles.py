"""Task `item_profiles`: what each item is and for whom, written by the language model within the night's budget."""

from collections.abc import Mapping, Sequence
from typing import Any

from ray_tasks.evidence.catalogue import Catalogue
from ray_tasks.evidence.items import item_evidence, near_profiled
from ray_tasks.generation.factory import generator_revision, make_token_counter
from ray_tasks.profiles.kinds import ITEM
from ray_tasks.profiles.plan import Entity, generation_key, recipe_key
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.publication import publish_profiles
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.generation_config import Generator
from schemas.night import Task, night_task, task_arguments

Row = Mapping[str, Any]


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("item_profiles", task_arguments(__doc__ or "")) as task:
        write_item_profiles(task)


def write_item_profiles(task: Task) -> None:
    """Publish `item_profiles` and `item_profile_rejects`."""
    documents = task.read("item_documents").read().to_pylist()
    counts = task.read("item_statistics").read(["item_id", "n_interactions"]).to_pylist()
    reviews = {row["item_id"]: row for row in task.read("item_reviews").read().to_pylist()}
    vocabulary = Vocabulary.from_table(task.read("vocabularies").read())
    previous = task.previous("item_profiles")
    profiled = previous.read(["item_id", "themes", "source", "generated_on"]).to_pylist() if previous else []
    earlier = {
        row["item_id"]: row["themes"]
        for row in profiled
        if row["source"] == "llm" and row["generated_on"] < task.config.night
    }
    entities = item_entities(
        documents,
        Catalogue.of(documents, vocabulary),
        vocabulary,
        task.config.generator,
        activity={row["item_id"]: row["n_interactions"] for row in counts},
        reviews=reviews,
        profiled=earlier,
    )
    publish_profiles(task, ITEM, [entities], vocabulary, vocabulary.words())


def item_entities(
    documents: Sequence[Row],
    catalogue: Catalogue,
    vocabulary: Vocabulary,
    generator: Generator,
    activity: Mapping[str, float],
    reviews: Mapping[str, Row],
    profiled: Mapping[str, Sequence[str]],
) -> list[Entity]:
    """Rows of `item_documents` as entities.

    `profiled` holds the themes of items that earlier nights have profiled: context for those that say little.
    """
    recipe = recipe_key(generator, generator_revision(generator), PromptFile.load(generator.item_prompt))
    count = make_token_counter(generator)
    near = near_profiled(catalogue, [catalogue.places[row["item_id"]] for row in documents], profiled)
    entities = []
    for row in documents:
        item_id = row["item_id"]
        evidence = item_evidence(
            row,
            vocabulary,
            generator.item_kind,
            count,
            generator.evidence_tokens,
            reviews.get(item_id),
            near[item_id],
        )
        key = generation_key(recipe, evidence, ITEM.schema(evidence, generator))
        figures = {"aspects": (reviews.get(item_id) or {}).get("aspects", [])}
        entities.append(Entity(evidence, recipe, key, activity.get(item_id, 0), figures))
    return entities


if __name__ == "__main__":
    main()
