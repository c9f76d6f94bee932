"""What the benchmark's models may read of an item: vectors of its document and, if there is one, of its profile."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ray_tasks.benchmark.data import Dataset
from ray_tasks.embeddings import VECTORS, distinct_texts, encode, texts, with_vectors
from ray_tasks.encoder import encoder_revision
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.retrieval.text_similarity import Vectors, item_vectors
from ray_tasks.retrieval.words import word_rows
from schemas.generation_config import Encoder


def item_texts(data: Dataset, encoder: Encoder, cache: Path, profiles: Mapping[str, str] | None = None) -> ItemTexts:
    """Vectors and words of the documents, and vectors of `profiles` (texts by item_id), zeros without any."""
    ids = data.log.item_ids
    documents = dict(zip(ids, data.documents, strict=True))
    vectors = encoded(documents, "document", ids, encoder, cache)
    return ItemTexts(vectors, word_rows(data.documents), encoded(profiles or {}, "profile", ids, encoder, cache))


def encoded(
    told: Mapping[str, str], kind: str, item_ids: NDArray[np.object_], encoder: Encoder, cache: Path
) -> Vectors:
    """One centred unit vector per item from texts by item_id; zeros without a text.

    Vectors are kept in the file `cache` by the hash of their text, so that a second run encodes nothing.
    """
    rows = _rows(told, kind, encoder_revision(encoder))
    kept = pq.read_table(cache) if cache.exists() else VECTORS.empty_table()
    wanted = distinct_texts([rows])
    missing = wanted.filter(pa.compute.invert(pa.compute.is_in(wanted["text_hash"], kept["text_hash"])))
    if missing.num_rows:
        kept = pa.concat_tables([kept, encode(missing, encoder)])
        cache.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(kept, cache)
    return item_vectors(with_vectors(rows, kept), item_ids)


def _rows(told: Mapping[str, str], kind: str, revision: str) -> pa.Table:
    """Rows of the texts that say something, in the columns of `embeddings.texts`."""
    said = {item_id: text for item_id, text in told.items() if text.strip()}
    found = texts(pa.table({"item_id": list(said), kind: list(said.values())}), "item_id", kind, revision)
    return found.cast(pa.schema([(name, pa.string()) for name in found.schema.names]))
