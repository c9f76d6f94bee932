"""Task `embeddings`: unit vectors of item documents, item profiles, user profiles, and what users said they like.

A text is known by the SHA-256 of the encoder's revision and itself: a text that some earlier night encoded is not
encoded again, and equal texts are encoded once.
"""

import hashlib
import logging
import time
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ray_tasks.encoder import EncoderActor, encoder_revision, precision_of
from ray_tasks.model_files import verify_model
from ray_tasks.own_words import own_words, texts_of
from ray_tasks.ray_session import cpus_per_actor, ray_session
from schemas.generation_config import Encoder
from schemas.lake import Snapshot
from schemas.night import Task, night_task, task_arguments
from schemas.stage_files import write_rows
from schemas.tables import TABLES

log = logging.getLogger("nightrec.embeddings")

BATCHES, PROGRESS_SECONDS = 4, 15
"""Batches of the encoder per block of Ray Data; seconds between progress messages."""

TOLD = {
    "item_id": ["item_id", "summary", "audience", "themes", "moods", "aspects"],
    "user_id": ["user_id", "long_term", "recent_interest", "likes"],
}
"""Columns of profiles that their texts are made of."""

PRAISED = 3
"""Aspects of an item that reviews praise, at most so many, those of most reviews first."""

VECTORS = pa.schema([("text_hash", pa.string()), ("vector", pa.list_(pa.float32()))])


def main() -> None:
    """Run the task."""
    with night_task("embeddings", task_arguments(__doc__ or "")) as task:
        embed(task)


def embed(task: Task) -> None:
    """Stage and publish `item_embeddings` and `user_embeddings`."""
    revision = encoder_revision(task.config.encoder)
    documents = task.read("item_documents").read(["item_id", "document"])
    told, about = (
        profile_texts(task.read(f"{name}_profiles").read(TOLD[f"{name}_id"]), f"{name}_id") for name in ("item", "user")
    )
    parts = (("document", documents), ("profile", told))
    items = pa.concat_tables([texts(rows, "item_id", kind, revision) for kind, rows in parts])
    spoken = (("profile", about), ("stated", texts_of(own_words(task))))
    users = pa.concat_tables([texts(rows, "user_id", kind, revision) for kind, rows in spoken])
    known = known_vectors([task.previous("item_embeddings"), task.previous("user_embeddings")])
    wanted = distinct_texts([items, users])
    missing = wanted.filter(pc.invert(pc.is_in(wanted["text_hash"], known["text_hash"])))
    log.info("%s texts, %s of them new", f"{wanted.num_rows:,}", f"{missing.num_rows:,}")
    vectors = pa.concat_tables([known, encode(missing, task.config.encoder)])
    for name, rows in (("item_embeddings", items), ("user_embeddings", users)):
        stage = task.stage(name)
        write_rows(stage, with_vectors(rows, vectors).select(TABLES[name].schema.names))
        task.publish(stage)
    task.counters.update(encoded=missing.num_rows, reused=wanted.num_rows - missing.num_rows)


def profile_texts(profiles: pa.Table, entity: str) -> pa.Table:
    """What of a profile is encoded: its sentences, then its labels; nothing in the place of what is null."""
    told = [_item_text(row) if entity == "item_id" else _user_text(row) for row in profiles.to_pylist()]
    return pa.table({entity: profiles[entity], "profile": pa.array(told, pa.string())})


def _item_text(row: dict[str, Any]) -> str:
    """What an item is, for whom, and what reviews praise; what they criticise is no reason to be near an item."""
    judged = row["aspects"] or ()
    praised = [one["aspect"] for one in judged if (one["n_positive"] or 0) > (one["n_negative"] or 0)]
    return _told([row["summary"], row["audience"]], [*(row["themes"] or ()), *(row["moods"] or ()), *praised[:PRAISED]])


def _user_text(row: dict[str, Any]) -> str:
    """What a user enjoys; dislikes are left out, since a text near them is near what the user does not want."""
    return _told([row["long_term"], row["recent_interest"]], [claim["label"] for claim in row["likes"] or ()])


def _told(sentences: Iterable[str | None], labels: Iterable[str | None]) -> str:
    return " ".join(filter(None, [*sentences, ", ".join(filter(None, labels))]))


def texts(rows: pa.Table, entity: str, kind: str, revision: str) -> pa.Table:
    """Columns: the entity's id, kind, text_hash, text. `kind` names the text's column as well."""
    found = rows[kind].to_pylist()
    hashes = [hashlib.sha256(f"{revision}\0{text}".encode()).hexdigest() for text in found]
    return pa.table(
        {
            entity: rows[entity],
            "kind": pa.repeat(kind, len(found)),
            "text_hash": pa.array(hashes, pa.string()),  # nobody may have said anything, and it is a string still
            "text": rows[kind],
        }
    )


def known_vectors(snapshots: Iterable[Snapshot | None]) -> pa.Table:
    """Vectors of earlier nights by text_hash, each once."""
    found = [snapshot.read(VECTORS.names).cast(VECTORS) for snapshot in snapshots if snapshot is not None]
    return _first_of_each(pa.concat_tables(found)) if found else VECTORS.empty_table()


def distinct_texts(tables: Iterable[pa.Table]) -> pa.Table:
    """text_hash and text of all rows, each once, by text_hash."""
    return _first_of_each(pa.concat_tables([table.select(["text_hash", "text"]) for table in tables]))


def _first_of_each(table: pa.Table) -> pa.Table:
    positions = pa.table({"text_hash": table["text_hash"], "at": pa.array(range(table.num_rows), pa.int64())})
    first = positions.group_by("text_hash").aggregate([("at", "min")]).sort_by("text_hash")
    return table.take(first["at_min"])


def encode(missing: pa.Table, config: Encoder) -> pa.Table:
    """Vectors of new texts, by an actor pool; texts of like length are encoded together, so that little is padded."""
    if not missing.num_rows:
        return VECTORS.empty_table()
    if config.backend != "fake":
        verify_model(config.path)  # the error is clearer from here than from an actor
    by_length = missing.take(pc.array_sort_indices(pc.utf8_length(missing["text"]), "descending"))
    size = config.batch_size * BATCHES
    blocks = [by_length.slice(at, size) for at in range(0, by_length.num_rows, size)]
    actors = min(config.actors, len(blocks))
    with ray_session():
        import ray

        encoded = ray.data.from_arrow(blocks).map_batches(
            EncoderActor,
            # What `auto` means here is in the texts' hashes: on every worker it means the same.
            fn_constructor_args=[config.model_copy(update={"precision": precision_of(config)})],
            batch_format="pyarrow",
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=cpus_per_actor(actors),
        )
        return _collect(encoded.iter_batches(batch_format="pyarrow", batch_size=None), missing.num_rows)


def _collect(batches: Iterable[Any], total: int) -> pa.Table:
    """All vectors; logs how far it is and the time left."""
    parts, done = [], 0
    started = told = time.monotonic()
    for batch in batches:
        parts.append(pa.table(batch).select(VECTORS.names).cast(VECTORS))
        done += parts[-1].num_rows
        now = time.monotonic()
        if done and (now - told >= PROGRESS_SECONDS or done == total):
            told, left = now, (now - started) / done * (total - done)
            log.info("embeddings: %s / %s texts, %.0f s left", f"{done:,}", f"{total:,}", left)
    return pa.concat_tables(parts)


def with_vectors(rows: pa.Table, vectors: pa.Table) -> pa.Table:
    """Each row with the vector of its text. Raises KeyError when one has none: nothing is published without."""
    place = {text_hash: at for at, text_hash in enumerate(vectors["text_hash"].to_pylist())}
    positions = [place[text_hash] for text_hash in rows["text_hash"].to_pylist()]
    return rows.append_column("vector", vectors["vector"].take(pa.array(positions, pa.int64())))


if __name__ == "__main__":
    main()
