"""What the rules may ask of an item: its id, its categories, and the other fields that describe it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from schemas.errors import ConfigError
from schemas.ranking_config import Rule

log = logging.getLogger("nightrec.ranking")


@dataclass(frozen=True)
class CatalogueFields:
    """Per item position, in the order of item_id, the values of every field."""

    item_ids: NDArray[np.object_]
    fields: dict[str, tuple[tuple[str, ...], ...]]

    @classmethod
    def of(cls, items: pa.Table) -> "CatalogueFields":
        """From `items`: `item_id`, `categories`, and each field of `texts` by name."""
        rows = items.select(["item_id", "categories", "texts"]).sort_by("item_id").to_pylist()
        told = [{part["field"]: part["text"] for part in row["texts"] or []} for row in rows]
        names = {name for own in told for name in own}
        fields: dict[str, tuple[tuple[str, ...], ...]] = {
            name: tuple((own[name],) if own.get(name) else () for own in told) for name in names
        }
        fields["categories"] = tuple(tuple(row["categories"] or ()) for row in rows)
        fields["item_id"] = tuple((row["item_id"],) for row in rows)
        return cls(np.array([row["item_id"] for row in rows], dtype=object), fields)

    def values(self, field: str) -> tuple[tuple[str, ...], ...]:
        """Each item's values of a field. Raises ConfigError for a field that no item has."""
        if field not in self.fields:
            known = ", ".join(sorted(self.fields))
            raise ConfigError("final_list", [f"no item has a field {field!r}; fields of this catalogue: {known}"])
        return self.fields[field]

    def matching(self, rules: Sequence[Rule]) -> NDArray[np.bool_]:
        """Items that any of the rules names. A value that no item has is logged: catalogues change."""
        found = np.zeros(len(self.item_ids), dtype=bool)
        for rule in rules:
            own = np.array([rule.value in values for values in self.values(rule.field)], dtype=bool)
            if not own.any():
                log.warning("final list: no item has %s %r", rule.field, rule.value)
            found |= own
        return found

    def matrix(self, field: str) -> "csr_matrix[np.float32]":
        """(items, values) of ones where an item has a value of the field."""
        values = self.values(field)
        names = {name: place for place, name in enumerate(sorted({one for own in values for one in own}))}
        rows = np.repeat(np.arange(len(values)), [len(own) for own in values])
        columns = np.array([names[one] for own in values for one in own], dtype=np.int64)
        ones = np.ones(len(columns), dtype=np.float32)
        return csr_matrix((ones, (rows, columns)), shape=(len(values), max(1, len(names))))
