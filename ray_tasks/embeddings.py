"""Task `embeddings`: unit vectors of item documents, item profiles and user profiles; unchanged texts are reused."""

import hashlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ray_tasks.encoder import encoder_revision, make_encoder
from ray_tasks.stage_rows import write_table
from schemas.config import Encoder as EncoderConfig
from schemas.lake import Snapshot
from schemas.night import Task, night_task, task_arguments
from schemas.tables import TABLES

log = logging.getLogger("nightrec.embeddings")

Row = dict[str, Any]
VECTOR = pa.list_(pa.float32())
BLOCK, PROGRESS_SECONDS = 8, 15
"""Batches of the encoder per block of Ray Data; seconds between progress messages."""


def main() -> None:
    """Run the task for the configuration on the command line."""
    with night_task("embeddings", task_arguments(__doc__ or "")) as task:
        write_embeddings(task)


def write_embeddings(task: Task) -> None:
    """Publish `item_embeddings` and `user_embeddings`."""
    config = task.config.encoder
    stages = {name: task.stage(name) for name in ("item_embeddings", "user_embeddings")}
    name = f"{config.model}\n{encoder_revision(config)}"
    wanted = {"item_embeddings": item_texts(task, name), "user_embeddings": user_texts(task, name)}
    known = {table: known_vectors(task.previous(table)) for table in stages}
    vectors = {hash_: vector for found in known.values() for hash_, vector in found.items()}
    missing = {row["text_hash"]: row["text"] for rows in wanted.values() for row in rows}
    missing = {hash_: text for hash_, text in sorted(missing.items()) if hash_ not in vectors}
    vectors.update(encode(missing, config))
    for table, stage in stages.items():
        write_table(stage, embedding_table(table, wanted[table], vectors))
        task.publish(stage)
    total = sum(map(len, wanted.values()))
    fresh = sum(row["text_hash"] in missing for rows in wanted.values() for row in rows)
    task.counters.update({"encoded": len(missing), "reused": total - fresh})


def item_texts(task: Task, encoder: str) -> list[Row]:
    """What to encode for items: the document, and the profile in words."""
    documents = task.read("item_documents").read(["item_id", "document"]).to_pylist()
    profiles = task.read("item_profiles").read(["item_id", "summary", "audience", "themes"]).to_pylist()
    return [
        *(text_row(encoder, row["document"], item_id=row["item_id"], kind="document") for row in documents),
        *(text_row(encoder, profile_text(row), item_id=row["item_id"], kind="profile") for row in profiles),
    ]


def user_texts(task: Task, encoder: str) -> list[Row]:
    """What to encode for users: the profile in words."""
    profiles = task.read("user_profiles").read(["user_id", "summary", "likes"]).to_pylist()
    return [text_row(encoder, profile_text(row), user_id=row["user_id"], kind="profile") for row in profiles]


def profile_text(profile: Row) -> str:
    """A profile in words, as the encoder reads it."""
    terms = ", ".join(profile.get("themes") or profile.get("likes") or ())
    return " ".join(part for part in (profile["summary"], profile.get("audience"), terms) if part)


def text_row(encoder: str, text: str, **key: str) -> Row:
    """A text to encode with its key and the hash of encoder and text."""
    return {**key, "text": text, "text_hash": hashlib.sha256(f"{encoder}\n{text}".encode()).hexdigest()}


def known_vectors(snapshot: Snapshot | None) -> dict[str, Any]:
    """Vectors already published, by the hash of their text."""
    if snapshot is None:
        return {}
    table = snapshot.read(["text_hash", "vector"])
    return dict(zip(table["text_hash"].to_pylist(), _matrix(table["vector"]), strict=True)) if len(table) else {}


def embedding_table(name: str, rows: Sequence[Row], vectors: dict[str, Any]) -> pa.Table:
    """Rows of a table of embeddings, each with the vector of its text."""
    schema = TABLES[name].schema
    columns = {key: [row[key] for row in rows] for key in schema.names if key != "vector"}
    flat = np.concatenate([vectors[row["text_hash"]] for row in rows]) if rows else np.zeros(0, np.float32)
    offsets = np.cumsum([0, *(len(vectors[row["text_hash"]]) for row in rows)]).astype(np.int32)
    columns["vector"] = pa.ListArray.from_arrays(offsets, pa.array(flat, pa.float32()))
    return pa.table({key: columns[key] for key in schema.names}).cast(schema)


class TextEncoder:
    """Encodes a batch of texts. The model is loaded once, on construction."""

    def __init__(self, config: EncoderConfig, threads: int) -> None:
        self._encoder = make_encoder(config, threads)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """From (text_hash, text) to (text_hash, vector)."""
        vectors = self._encoder.encode(batch["text"].to_pylist())
        return pa.table({"text_hash": batch["text_hash"], "vector": pa.array(list(vectors), VECTOR)})


def encode(texts: dict[str, str], config: EncoderConfig) -> dict[str, Any]:
    """Vectors of texts (by hash) from an actor pool, with progress in the log; starts no Ray for no texts."""
    if not texts:
        return {}
    from ray_tasks.ray_session import cpus_per_actor, ray_session, threads_per_actor

    if config.backend != "fake":
        from ray_tasks.model_files import verify_model

        verify_model(config.path)
    ordered = sorted(texts.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    size = config.batch_size * BLOCK
    blocks = [
        pa.table({"text_hash": [h for h, _ in part], "text": [t for _, t in part]})
        for part in (ordered[at : at + size] for at in range(0, len(ordered), size))
    ]
    actors = min(config.actors, len(blocks))
    with ray_session():
        import ray

        answers = ray.data.from_arrow(blocks).map_batches(
            TextEncoder,
            batch_format="pyarrow",
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=cpus_per_actor(actors),
            fn_constructor_kwargs={"config": config, "threads": threads_per_actor(actors)},
        )
        return _collect(answers.iter_batches(batch_size=None, batch_format="pyarrow"), len(texts))


def _collect(tables: Iterable[pa.Table], total: int) -> dict[str, Any]:
    """Vectors by hash; logs done, rate and time left."""
    vectors: dict[str, Any] = {}
    started = told = time.monotonic()
    log.info("embeddings: encoding %s texts", f"{total:,}")
    for table in tables:
        vectors.update(zip(table["text_hash"].to_pylist(), _matrix(table["vector"]), strict=True))
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS or len(vectors) == total:
            seconds, told = now - started, now
            left = seconds / len(vectors) * (total - len(vectors))
            rate = len(vectors) / seconds
            log.info("embeddings: %d / %d, %.0f texts/s, %.0f s left", len(vectors), total, rate, left)
    return vectors


def _matrix(column: pa.ChunkedArray) -> Any:
    """(rows, dimensions) of a column of vectors of one length."""
    return np.stack([np.asarray(vector, dtype=np.float32) for vector in column.to_numpy(zero_copy_only=False)])


if __name__ == "__main__":
    main()
