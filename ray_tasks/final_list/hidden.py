"""What users never want to see again: items that they hid, and all items of themes that they hid."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Ints
from ray_tasks.vocabulary.labels import Label, Vocabulary, stems
from schemas.night import Task

KINDS = ("hide_item", "hide_theme")
"""Kinds of feedback that hide."""
THEMES = ("theme", "mood")
"""Kinds of labels that a user may hide."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Hidden:
    """By positions of users and items, both in the order of id.

    `items` (users, items) are hidden items, `themes` (users, themes) hidden themes, `of_items` (items, themes) the
    items that have them.
    """

    items: "csr_matrix[Any]"
    themes: "csr_matrix[Any]"
    of_items: "csr_matrix[Any]"

    @classmethod
    def none(cls, users: int, items: int) -> "Hidden":
        """Nobody hid anything."""
        return cls(*(csr_matrix(shape, dtype=np.int32) for shape in ((users, items), (users, 1), (items, 1))))

    @property
    def is_empty(self) -> bool:
        """True if nobody hid anything."""
        return not self.items.nnz and not self.themes.nnz

    def pairs(self, users: Ints, items: Ints) -> Bools:
        """Whether each of some users hid each of as many items."""
        found = values_at(self.items, users, items) > 0
        by_theme = self.themes[users].multiply(self.of_items[items]).sum(axis=1)
        return np.asarray(found | (np.asarray(by_theme).ravel() > 0))

    def of(self, user: int) -> Ints:
        """Positions of the items that one user hid."""
        by_theme = (self.of_items @ self.themes[user].T).toarray().ravel()
        return np.flatnonzero((self.items[user].toarray().ravel() > 0) | (by_theme > 0))

    def of_all(self) -> dict[int, Ints]:
        """What each user hid, of those who hid anything."""
        who = np.flatnonzero(np.diff(self.items.indptr) + np.diff(self.themes.indptr))
        return {int(user): self.of(int(user)) for user in who}


def values_at(matrix: "csr_matrix[Any]", rows: Ints, columns: Ints) -> NDArray[Any]:
    """Entries of a matrix at as many places; SciPy makes a matrix of no places."""
    return np.asarray(matrix[rows, columns]).ravel() if len(rows) else np.zeros(0, dtype=matrix.dtype)


def read_hidden(task: Task, user_ids: NDArray[np.object_], item_ids: NDArray[np.object_]) -> Hidden:
    """What users (sorted) had hidden before as_of of the items (sorted)."""
    feedback, documents, vocabularies = (task.read(name) for name in ("feedback", "item_documents", "vocabularies"))
    columns = ["user_id", "item_id", "kind", "detail"]
    of_served = pc.field("kind").isin(KINDS) & pc.field("user_id").isin(pa.array(user_ids, pa.string()))
    said = feedback.dataset().to_table(columns=columns, filter=of_served).to_pylist()
    if not said:
        return Hidden.none(len(user_ids), len(item_ids))
    has_themes = any(row["kind"] == "hide_theme" for row in said)
    vocabulary = Vocabulary.from_table(vocabularies.read()) if has_themes else Vocabulary(())
    rows = documents.read(["item_id", "categories", "document"]).to_pylist() if has_themes else []
    return hidden(said, user_ids, item_ids, rows, vocabulary)


def hidden(
    said: Sequence[Mapping[str, Any]],
    user_ids: NDArray[np.object_],
    item_ids: NDArray[np.object_],
    documents: Iterable[Mapping[str, Any]],
    vocabulary: Vocabulary,
) -> Hidden:
    """From rows of `feedback` that hide, of users among `user_ids`.

    A theme is known by its stems: as a label of the vocabulary with all its terms, else as the words that were said.
    """
    labels = {stems(row["detail"]): _label(row["detail"], vocabulary) for row in said if _hides_theme(row)}
    names = sorted(labels)
    own = Vocabulary(tuple(Label("theme", name, labels[name]) for name in names))
    by_item = [(row["user_id"], row["item_id"]) for row in said if row["kind"] == "hide_item"]
    by_theme = [(row["user_id"], names.index(stems(row["detail"]))) for row in said if _hides_theme(row)]
    has = [
        (row["item_id"], names.index(name))
        for row in (documents if names else ())
        for name in own.found_in(row["document"], "theme", row["categories"])
    ]
    places_of = {item_id: place for place, item_id in enumerate(item_ids)}
    users = {user_id: place for place, user_id in enumerate(user_ids)}
    n_users, n_items, n_themes = len(user_ids), len(item_ids), max(1, len(names))
    return Hidden(
        _ones([(users[user], places_of[item]) for user, item in by_item if item in places_of], (n_users, n_items)),
        _ones([(users[user], theme) for user, theme in by_theme], (n_users, n_themes)),
        _ones([(places_of[item], theme) for item, theme in has if item in places_of], (n_items, n_themes)),
    )


def _hides_theme(row: Mapping[str, Any]) -> bool:
    return row["kind"] == "hide_theme" and bool(stems(row["detail"] or ""))


def _label(said: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The terms that speak for a theme."""
    key = stems(said)
    found = [one for one in vocabulary.entries if one.kind in THEMES and stems(one.label) == key]
    return tuple(sorted({said, *(term for one in found for term in (one.label, *one.terms))}))


def _ones(pairs: Sequence[tuple[int, int]], shape: tuple[int, int]) -> "csr_matrix[Any]":
    rows, columns = (np.array([pair[side] for pair in set(pairs)], dtype=np.int64) for side in (0, 1))
    return csr_matrix((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)
