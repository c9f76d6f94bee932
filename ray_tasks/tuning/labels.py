"""Pairs item -> labels: the evidence of an item without its categories, and the labels that its categories mean.

Whatever says the categories is hidden: the categories themselves, and fields of the document that only repeat them.
What remains are title, year, plot or description, reviews, and what near *training* items are about. Nearness is
taken from hidden texts and from who chose the items, so that it cannot leak the labels either.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack

from ray_tasks.evidence.items import item_evidence
from ray_tasks.text import document_fields, words
from ray_tasks.tuning.pairs import Pair, compact, part_of
from ray_tasks.vocabulary.labels import Vocabulary

MOST = 6
"""Labels of one item at most, in the catalogue's order."""

NEIGHBOURS = 15
VOTES = 0.3
"""The template gives labels that this share of the neighbours' votes have, and at least the first one."""

SHOWN = 0.15
"""A prompt shows labels that this share of the votes have."""

Row = Mapping[str, Any]
Labels = Mapping[str, tuple[str, ...]]


def gold_labels(documents: Sequence[Row], vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    """The labels that each item's own categories mean, for items that have any."""
    found = {row["item_id"]: vocabulary.found_in("", "theme", row["categories"])[:MOST] for row in documents}
    return {item_id: labels for item_id, labels in found.items() if labels}


def hidden(document: Row) -> dict[str, Any]:
    """A row of `item_documents` without its categories, nor fields that say nothing but categories."""
    said = set(words(" ".join(document["categories"])))
    fields = document_fields(document["document"])
    kept = [(name, text) for name, text in fields if not words(text) or not set(words(text)) <= said]
    return {**document, "categories": [], "document": ". ".join(f"{name}: {text}" for name, text in kept)}


@dataclass(frozen=True)
class Told:
    """How prompts tell about items: the word for one, the most tokens of evidence, how to count them, reviews."""

    kind: str
    count: Callable[[str], int]
    budget: int
    reviews: Mapping[str, Row] = field(default_factory=dict)


def label_pairs(
    documents: Sequence[Row], wanted: Iterable[str], gold: Labels, chosen: csr_matrix, told: Told, *, seed: int
) -> list[Pair]:
    """A pair for every `wanted` item_id that `gold` has labels of.

    `chosen` is (users, items), 1 where a user chose an item in the training period; its columns follow `documents`.
    """
    schema = labels_schema(sorted({label for labels in gold.values() for label in labels}))
    bare = [hidden(row) for row in documents]
    places = {row["item_id"]: at for at, row in enumerate(bare)}
    asked = [item_id for item_id in wanted if item_id in gold]
    labels = [gold.get(row["item_id"], ()) for row in bare]
    votes = _votes(bare, [places[item_id] for item_id in asked], _vectors(bare, chosen), labels, seed)
    silent, pairs = Vocabulary(()), []  # what is shown must not know any label
    for item_id, near in zip(asked, votes, strict=True):
        shown = tuple(label for label, share in near.items() if share >= SHOWN)
        row, like = bare[places[item_id]], [(item_id, shown)] if shown else []
        evidence = item_evidence(row, silent, told.kind, told.count, told.budget, told.reviews.get(item_id), like)
        prompt, answer = f"{evidence.text}\nLabels:", compact({"themes": list(gold[item_id])})
        part = part_of(item_id, seed)
        pairs.append(Pair("labels", "item", item_id, part, prompt, answer, schema, gold[item_id], _template(near)))
    return pairs


def labels_schema(options: Sequence[str]) -> str:
    """JSON schema of an answer: one to MOST of the catalogue's labels."""
    themes = {"type": "array", "items": {"enum": list(options)}, "minItems": 1, "maxItems": MOST}
    form = {"type": "object", "properties": {"themes": themes}, "required": ["themes"], "additionalProperties": False}
    return json.dumps(form, ensure_ascii=False)


def read_labels(text: str, options: frozenset[str]) -> tuple[str, ...] | None:
    """The labels of an answer, each once; None where it is not valid."""
    try:
        found = json.loads(text)["themes"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one in options for one in found):
        return None
    return tuple(dict.fromkeys(found))


def _votes(
    bare: Sequence[Row], places: Sequence[int], vectors: csr_matrix, labels: Sequence[tuple[str, ...]], seed: int
) -> list[dict[str, float]]:
    """For items at `places` the labels of their nearest training items with their share of the votes, most first."""
    train = [at for at, row in enumerate(bare) if labels[at] and part_of(row["item_id"], seed) == "train"]
    if not train:
        return [{} for _ in places]
    pool, others, found = vectors[train].T.tocsc(), np.array(train), []
    for at in places:
        scores = (vectors[at] @ pool).tocoo()
        order = np.lexsort((scores.col, -np.round(scores.data, 6)))
        near = [(float(scores.data[one]), int(others[scores.col[one]])) for one in order[: NEIGHBOURS + 1]]
        found.append(_shares([(score, labels[other]) for score, other in near if other != at][:NEIGHBOURS]))
    return found


def _shares(near: Sequence[tuple[float, tuple[str, ...]]]) -> dict[str, float]:
    total, counts = sum(score for score, _ in near) or 1.0, dict[str, float]()
    for score, labels in near:
        for label in labels:
            counts[label] = counts.get(label, 0.0) + score / total
    return {label: counts[label] for label in sorted(counts, key=lambda one: (-round(counts[one], 6), one))}


def _vectors(bare: Sequence[Row], chosen: csr_matrix) -> csr_matrix:
    """(items, features), two unit parts: words of the bare text, and who chose the item."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    texts = [" ".join([row["title"], *(text for _, text in document_fields(row["document"]))]) for row in bare]
    weighted = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2, max_df=0.2, dtype=np.float32)
    try:
        told = weighted.fit_transform(texts)
    except ValueError:  # no word that some items share and most do not have
        told = csr_matrix((len(texts), 0), dtype=np.float32)
    by_user = normalize(chosen.astype(np.float32), axis=1)  # a user who chose everything says little
    return csr_matrix(hstack([told, normalize(by_user.T)]))


def _template(votes: Mapping[str, float]) -> tuple[str, ...]:
    """The most voted label, and the others that enough of the neighbours carry."""
    return tuple(label for at, (label, share) in enumerate(votes.items()) if share >= VOTES or at == 0)[:MOST]
