"""Task `request_recommendations`: what users asked for in their own words, as it is understood, and what answers it."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ray_tasks.final_list.catalogue import CatalogueFields
from ray_tasks.final_list.hidden import read_hidden
from ray_tasks.interactions.rows import Ints
from ray_tasks.interactions.served import said_before
from ray_tasks.interactions.user_blocks import write_stage
from ray_tasks.ray_session import ray_session
from ray_tasks.requests.blocks import AnsweredBlocks, ParsedBlocks, People, encoded
from ray_tasks.requests.catalogue import AskedCatalogue
from ray_tasks.requests.parsing import Parser
from ray_tasks.retrieval.text_similarity import vectors_of
from ray_tasks.vocabulary.labels import Vocabulary
from schemas.config import RunConfig
from schemas.lake import Snapshot
from schemas.night import Task, night_task, task_arguments
from schemas.ranking_config import Requests
from schemas.stage_files import write_rows

log = logging.getLogger("nightrec.requests")

READ = (
    "requests",
    "vocabularies",
    "item_documents",
    "item_profiles",
    "item_statistics",
    "items",
    "item_embeddings",
    "user_embeddings",
    "user_histories",
    "recommendations",
    "feedback",
)


def main() -> None:
    """Read the pinned tables, understand the requests, answer them, publish."""
    with night_task("request_recommendations", task_arguments(__doc__ or "")) as task:
        tables = {name: task.read(name) for name in READ}
        settings = task.config.requests
        asked = wanted(tables["requests"].read(), settings, task.config.as_of)
        parsed, answered = task.stage("parsed_requests"), task.stage("request_recommendations")
        if not asked.num_rows:
            for stage in (parsed, answered):
                write_rows(stage, stage.table.schema.empty_table())
                task.publish(stage)
            return
        parser, catalogue = knowledge(task.config, tables)
        model = task.config.generator if settings.reader == "llm" else None
        with ray_session():
            write_stage(task, parsed, ParsedBlocks(asked, parser, model))
            task.publish(parsed)
            understood = task.lake.snapshot(parsed.table.name, task.config.night)
            hidden = hidden_by_user(task, asked["user_id"].to_pylist(), catalogue)
            people = People(tables["user_embeddings"], tables["user_histories"], tables["recommendations"], hidden)
            write_stage(task, answered, AnsweredBlocks.of(understood, catalogue, people, settings))
        task.publish(answered)
        reasons = Counter(understood.read(["outside"])["outside"].to_pylist())
        task.counters["requests"] = {"answered": reasons.pop(None, 0), "outside": dict(sorted(reasons.items()))}
        log.info("requests: %s", task.counters["requests"])


def wanted(requests: pa.Table, settings: Requests, as_of: datetime) -> pa.Table:
    """The requests to answer, by id: of each user the newest before `as_of`, none too old. Adds `request_id`."""
    recent = said_before(requests, as_of)
    oldest = pa.scalar(as_of - timedelta(days=settings.days), recent["timestamp"].type)
    recent = recent.filter(pc.greater_equal(recent["timestamp"], oldest))
    recent = recent.sort_by([("user_id", "ascending"), ("timestamp", "descending"), ("text", "ascending")])
    users = recent["user_id"].to_pylist()
    most = settings.per_user
    places = [place for place, user in enumerate(users) if place < most or users[place - most] != user]
    kept = recent.take(pa.array(places, pa.int64()))
    return kept.append_column("request_id", pa.array(_ids(kept), pa.string())).sort_by("request_id")


def _ids(requests: pa.Table) -> list[str]:
    columns = requests["user_id"], requests["timestamp"].cast(pa.int64()), requests["text"]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return [hashlib.sha256("\0".join(map(str, row)).encode()).hexdigest()[:32] for row in rows]


def knowledge(config: RunConfig, tables: Mapping[str, Snapshot]) -> tuple[Parser, AskedCatalogue]:
    """What parsing and answering know of the night's catalogue."""
    documents = tables["item_documents"].read(["item_id", "title", "categories", "document"]).to_pylist()
    vocabulary = Vocabulary.from_table(tables["vocabularies"].read())
    embeddings = tables["item_embeddings"].read(["item_id", "kind", "vector"])
    embeddings = embeddings.filter(pc.equal(embeddings["kind"], "document")).sort_by("item_id")
    told = tables["item_statistics"].read(["item_id", "n_interactions"]).to_pydict()
    taken = dict(zip(told["item_id"], told["n_interactions"], strict=True))
    counts = np.array([taken.get(row["item_id"], 0) for row in documents], dtype=np.int64)
    profiles = tables["item_profiles"].read(["item_id", "themes", "moods"]).to_pylist()
    labels = {row["item_id"]: [*(row["themes"] or ()), *(row["moods"] or ())] for row in profiles}
    fields_of = CatalogueFields.of(tables["items"].read())
    allowed = ~fields_of.matching(config.final_list.exclude)
    vectors, encode = vectors_of(embeddings), partial(encoded, config.encoder)
    kind = config.generator.item_kind
    parser = Parser.of(vocabulary, documents, counts.tolist(), vectors, encode, kind)
    return parser, AskedCatalogue.of(documents, labels, vocabulary, vectors, counts, allowed)


def hidden_by_user(task: Task, user_ids: Sequence[str], catalogue: AskedCatalogue) -> dict[str, Ints]:
    """Positions of the items that each of some users hid, of those who hid anything."""
    users = np.array(sorted(set(user_ids)), dtype=object)
    found = read_hidden(task, users, catalogue.item_ids).of_all()
    return {str(users[user]): items for user, items in found.items()}


if __name__ == "__main__":
    main()
