"""Item factors that Spark's ALS left for large catalogues: what the night does with table `item_factors`."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints
from ray_tasks.interactions.windows import Log
from ray_tasks.retrieval.ials import Factors, Ials
from schemas.candidates_config import Candidates
from schemas.errors import LakeError
from schemas.lake import Snapshot


@dataclass(frozen=True)
class ItemFactors:
    """One window's factors (core, dimensions) of the items at the ascending positions `core` of the catalogue."""

    core: Ints
    vectors: Factors

    def source(self, n_items: int, *, unobserved: float, l2: float, half_life: float = 0) -> Ials:
        """The source `ials` over these items. The parameters say how users are solved, so no value needs a new fit."""
        return Ials(self.core, self.vectors, unobserved, l2, half_life, n_items)


def with_ials(settings: Candidates, factors: Snapshot) -> Candidates:
    """The night's settings: where there are factors, `ials` is among the sources, configured or not.

    Whether there are is the rule of the task `features`; everybody else only looks at the table.
    """
    if "ials" in settings.sources or not factors.dataset().count_rows():
        return settings
    return settings.model_copy(update={"sources": (*settings.sources, "ials")})


def covered(log: Log, max_core_items: int, factors: ItemFactors | None) -> dict[str, int]:
    """How many items anybody took, how many of these the dense sources cover, and how many Spark's factors."""
    taken = len(np.unique(log.item))
    return {
        "items_taken": taken,
        "dense_items": min(taken, max_core_items),
        "factor_items": 0 if factors is None else len(factors.core),
    }


def read_factors(factors: Snapshot, window: str, item_ids: NDArray[np.object_]) -> ItemFactors | None:
    """The factors of a window for a catalogue of sorted ids; None when the night has none.

    Raises LakeError when an item of the window is not in the catalogue.
    """
    columns = ["item_id", "factors"]
    rows = factors.dataset().to_table(columns=columns, filter=pc.field("window") == window).combine_chunks()
    if not rows.num_rows:
        return None
    place = pc.index_in(rows["item_id"], value_set=pa.array(item_ids, pa.string()))
    if place.null_count:
        raise LakeError(
            f"item_factors of window {window}: {place.null_count:,} items are not in table items; "
            "the two are of different runs: clear the task histories"
        )
    core = np.asarray(place.to_numpy(), dtype=np.int64)
    order = np.argsort(core)
    vectors = pc.list_flatten(rows["factors"]).to_numpy().astype(np.float32).reshape(len(core), -1)
    return ItemFactors(core[order], np.ascontiguousarray(vectors[order]))
