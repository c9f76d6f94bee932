"""Task `vocabularies`: the labels that profiles may use, and what reviews of the training period say about items."""

import logging
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ray_tasks.evidence.aspects import by_item, item_review, judged_aspects
from ray_tasks.vocabulary.edits import Edits, read_edits
from ray_tasks.vocabulary.induction import induce
from ray_tasks.vocabulary.labels import KINDS, Vocabulary, rows
from schemas.night import Task, night_task, task_arguments
from schemas.stage_files import write_rows
from schemas.tables import TABLES

log = logging.getLogger("nightrec.vocabularies")


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("vocabularies", task_arguments(__doc__ or "")) as task:
        write_vocabularies(task)


def write_vocabularies(task: Task) -> None:
    """Publish `vocabularies` and `item_reviews`."""
    config = task.config.vocabulary
    edits = read_edits(config.path) if config.path else Edits()
    documents = task.read("item_documents").read().to_pylist()
    reviews = training_reviews(task)
    texts = by_item(reviews)
    previous = task.previous("vocabularies")
    earlier = Vocabulary.from_table(previous.read()) if previous else Vocabulary(())
    vocabulary = induce(documents, judged_aspects(texts), config, earlier, edits)
    found = [item_review(item_id, texts[item_id], vocabulary) for item_id in sorted(texts)]
    for name, kept in (("vocabularies", rows(vocabulary)), ("item_reviews", found)):
        stage = task.stage(name)
        write_rows(stage, pa.Table.from_pylist(kept, schema=TABLES[name].schema))
        task.publish(stage)
    task.counters.update(counters(vocabulary, earlier, found))
    log.info("vocabulary: %s; %s reviews of %s items", task.counters["labels"], f"{len(reviews):,}", f"{len(found):,}")


def counters(vocabulary: Vocabulary, earlier: Vocabulary, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Labels per kind, what became of the earlier ones, and what the reviews gave."""
    known = {(one.kind, one.label) for one in earlier.entries}
    now = {(one.kind, one.label) for one in vocabulary.entries}
    return {
        "labels": {kind: len(vocabulary.labels(kind)) for kind in KINDS},
        "kept": len(now & known),
        "added": len(now - known),
        "removed": len(known - now),
        "reviews": sum(row["n_reviews"] for row in found),
        "reviewed_items": len(found),
        "aspects": sum(len(row["aspects"]) for row in found),
        "snippets": sum(len(row["snippets"]) for row in found),
    }


def training_reviews(task: Task) -> list[dict[str, Any]]:
    """Reviews of the training period, by item and time: offline evaluation must not see what came after it."""
    interactions, splits = task.read("interactions"), task.read("splits")
    written = interactions.read(["user_id", "item_id", "timestamp", "review"], pc.field("review").is_valid())
    if not written.num_rows:
        return []
    train = splits.read(["user_id", "item_id", "timestamp"], pc.field("split") == "train")
    kept = written.join(train, ["user_id", "item_id", "timestamp"], join_type="inner")
    ordered = kept.sort_by([("item_id", "ascending"), ("timestamp", "ascending"), ("user_id", "ascending")])
    return ordered.select(["item_id", "review"]).to_pylist()


if __name__ == "__main__":
    main()
