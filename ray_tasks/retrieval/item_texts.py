"""What the sources may read of the items: vectors of an encoder, and weighted words."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from scipy.sparse import csr_matrix

from ray_tasks.retrieval.text_similarity import Vectors, item_vectors
from ray_tasks.retrieval.words import word_rows
from schemas.night import Task


@dataclass(frozen=True)
class ItemTexts:
    """Per item a unit vector (items, dimensions) and a unit row of TF-IDF weights (items, terms); 0 without text.

    Both are of the catalogue's documents; `profiles` are unit vectors (items, dimensions) of what the language model
    made of them, a source of their own so that what they add can be told.
    """

    vectors: Vectors
    words: "csr_matrix[Any]"
    profiles: Vectors

    @classmethod
    def none(cls, n_items: int) -> "ItemTexts":
        """No texts at all: the sources that read them have nothing to say, the others work from ids alone."""
        none = np.zeros((n_items, 1), dtype=np.float32)
        return cls(none, csr_matrix((n_items, 1), dtype=np.float32), none)

    @property
    def empty(self) -> bool:
        """True if no item has a text."""
        return not self.vectors.any() and not self.words.nnz and not self.profiles.any()


def read_texts(task: Task) -> ItemTexts:
    """The items' text vectors and words, by item_id."""
    item_ids = task.read("items").read(["item_id"])["item_id"].combine_chunks().sort().to_numpy(zero_copy_only=False)
    embeddings = task.read("item_embeddings").read(["item_id", "kind", "vector"])
    kinds = [embeddings.filter(pc.equal(embeddings["kind"], kind)) for kind in ("document", "profile")]
    vectors, profiles = (item_vectors(of_kind, item_ids) for of_kind in kinds)
    documents = task.read("item_documents").read(["item_id", "document"]).to_pydict()
    by_id = dict(zip(documents["item_id"], documents["document"], strict=True))
    return ItemTexts(vectors, word_rows([by_id.get(item_id, "") for item_id in item_ids]), profiles)
