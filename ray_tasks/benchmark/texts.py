"""What the benchmark's models may read of an item: vectors of its document and, if there is one, of its profile."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ray_tasks.benchmark.data import Dataset
from ray_tasks.embeddings import VECTORS, distinct_texts, encode, texts, with_vectors
from ray_tasks.encoder import encoder_revision
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.retrieval.text_similarity import Vectors, item_vectors
from ray_tasks.retrieval.words import word_rows
from schemas.config import Encoder


def item_texts(data: Dataset, encoder: Encoder, cache: Path, profiles: Mapping[str, str] | None = None) -> ItemTexts:
    """What the sources read of the items: of documents alone, or of documents and `profiles` (texts by item_id).

    Vectors of both stand side by side, as in a night; words are those of both together.
    """
    told = profiles or {}
    both = [
        " ".join(filter(None, (document, told.get(item_id, ""))))
        for item_id, document in zip(data.log.item_ids, data.documents, strict=True)
    ]
    return ItemTexts(encoded(data, encoder, cache, profiles), word_rows(both))


def encoded(data: Dataset, encoder: Encoder, cache: Path, profiles: Mapping[str, str] | None = None) -> Vectors:
    """One unit vector per item: its document's and its profile's side by side, each centred.

    `profiles` are texts by item_id. Vectors are kept in the file `cache` by the hash of their text, so that a second
    run encodes nothing. Items without any text get zeros.
    """
    revision = encoder_revision(encoder)
    parts = [_rows(dict(zip(data.log.item_ids, data.documents, strict=True)), "document", revision)]
    if profiles:
        parts.append(_rows(profiles, "profile", revision))
    rows = pa.concat_tables(parts)
    kept = pq.read_table(cache) if cache.exists() else VECTORS.empty_table()
    wanted = distinct_texts([rows])
    missing = wanted.filter(pa.compute.invert(pa.compute.is_in(wanted["text_hash"], kept["text_hash"])))
    if missing.num_rows:
        kept = pa.concat_tables([kept, encode(missing, encoder)])
        cache.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(kept, cache)
    return item_vectors(with_vectors(rows, kept), data.log.item_ids)


def _rows(told: Mapping[str, str], kind: str, revision: str) -> pa.Table:
    """Rows of the texts that say something, in the columns of `embeddings.texts`."""
    said = {item_id: text for item_id, text in told.items() if text.strip()}
    found = texts(pa.table({"item_id": list(said), kind: list(said.values())}), "item_id", kind, revision)
    return found.cast(pa.schema([(name, pa.string()) for name in found.schema.names]))
