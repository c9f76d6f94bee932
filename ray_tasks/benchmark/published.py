"""The last published night as a data set of the benchmark: its own interactions and texts, nothing encoded again."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, time

import numpy as np
import pyarrow.compute as pc

from ray_tasks.benchmark.blend import restrict
from ray_tasks.benchmark.data import ALIASES, Dataset
from ray_tasks.benchmark.protocols import PROTOCOLS, clean_catalogue
from ray_tasks.final_list.catalogue import CatalogueFields
from ray_tasks.interactions.windows import SPLITS, Log, encode, window
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.retrieval.text_similarity import item_vectors
from ray_tasks.retrieval.words import word_rows
from schemas.errors import NothingToDo
from schemas.published import PublishedNight
from schemas.ranking_config import Evaluation

TABLES = ("splits", "items", "item_documents", "item_embeddings")
HELD_OUT = 0.2
"""Share of the log that protocol p1 keeps from teaching."""


def read_dataset(night: PublishedNight, name: str, min_rating: float | None) -> Dataset:
    """All interactions before the night, in the order of time, ties by user and item, and the catalogue's texts.

    The night's own split is forgotten: a protocol makes its own. A rating below `min_rating` is no relevant target.
    """
    items = night.read("items").read(["item_id", "categories", "texts"])
    log = _log(night, min_rating)
    fields = CatalogueFields.of(items)
    brand = next((fields.fields[alias] for alias in ALIASES["brand"] if alias in fields.fields), ())
    rows = night.read("item_documents").read(["item_id", "title", "document"]).to_pylist()
    told = {row["item_id"]: (row["title"], row["document"]) for row in rows}
    nothing = ("", "")
    return Dataset(
        name=name,
        sha256=content(night),
        log=log,
        titles=tuple(told.get(item_id, nothing)[0] for item_id in log.item_ids),
        documents=tuple(told.get(item_id, nothing)[1] for item_id in log.item_ids),
        categories=fields.values("categories"),
        brands=tuple(own[0] if own else "" for own in brand) or ("",) * len(log.item_ids),
    )


def _log(night: PublishedNight, min_rating: float | None) -> Log:
    """The night's log in the order of time. Its partition is of its run date, whatever the task's is."""
    as_of = datetime.combine(night.manifest.run_date, time(), UTC)
    log = encode(night.read("splits").dataset(), night.read("items").read(["item_id"]), as_of, min_rating)
    order = np.lexsort((log.item, log.user, log.time))
    columns = {name: getattr(log, name)[order] for name in ("user", "item", "time", "relevant")}
    return replace(log, **columns, split=np.zeros_like(log.split))


def content(night: PublishedNight) -> str:
    """SHA-256 of what the benchmark reads, from the content hashes of the manifest."""
    found = night.manifest.tables
    told = "\n".join(f"{name} {found[name].content_hash}" for name in TABLES if name in found)
    return hashlib.sha256(told.encode()).hexdigest()


def read_item_texts(night: PublishedNight, data: Dataset, protocol: str, evaluation: Evaluation) -> ItemTexts:
    """Vectors as the night published them, and words, by item position; no text is encoded."""
    embeddings = night.read("item_embeddings").read(["item_id", "kind", "vector"])
    told = {kind: embeddings.filter(pc.equal(embeddings["kind"], kind)) for kind in ("document", "profile")}
    if not profiles_are_earlier(protocol, evaluation):
        told["profile"] = told["profile"].slice(0, 0)
    vectors, profiles = (item_vectors(rows, data.log.item_ids) for rows in told.values())
    return ItemTexts(vectors, word_rows(data.documents), profiles)


def profiles_are_earlier(protocol: str, evaluation: Evaluation) -> bool:
    """True if the night's item profiles rest on nothing that the protocol keeps back.

    Profiles quote reviews of the night's training period. P1 teaches with all of it where the night holds out as much
    as P1; P2 keeps back events of any time.
    """
    return protocol == "p1" and evaluation.validation_share + evaluation.test_share > HELD_OUT - 1e-9


def measured(log: Log, protocol: str, most: int | None, seed: int) -> Log:
    """The log under a protocol, with targets of `most` test users only, drawn by the seed; all events teach as before.

    A protocol that cuts the result again finds the same cut: validation, and what teaches, do not change.
    """
    cut = PROTOCOLS[protocol](log)
    if most is None:
        return cut
    users = np.searchsorted(cut.user_ids, window(cut, "test").user_ids)
    if len(users) > most:
        users = np.random.default_rng(seed).choice(users, most, replace=False)
    others = (cut.split == SPLITS.index("test")) & ~np.isin(cut.user, users)
    return replace(cut, relevant=cut.relevant & ~others)


def refuse_too_little(log: Log, protocol: str) -> None:
    """Raises NothingToDo where nobody is left to tune on or to measure, on any catalogue of the protocol."""
    cut = PROTOCOLS[protocol](log)
    for name in SPLITS[1:]:
        view = window(cut, name)
        catalogue = clean_catalogue(view.log) if protocol == "p1" else None
        if not len(restrict(view, catalogue).user_ids):
            raise NothingToDo(
                f"protocol {protocol}: none of {len(log.user_ids):,} users took an item of the catalogue in the "
                f"{name} part of {len(log.time):,} interactions: the benchmark needs a longer log"
            )
