"""Evidence of an item: what its document says, what reviews say, and what near items are about."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ray_tasks.evidence.catalogue import Catalogue
from ray_tasks.evidence.pieces import Evidence, Piece, within_budget
from ray_tasks.privacy.scrubbing import scrub
from ray_tasks.text import as_data, document_fields, is_order, natural_title, words
from ray_tasks.vocabulary.labels import Vocabulary

TITLE, FACT, FACTS = 90, 200, 240
"""Characters of a title, of one fact and of all facts that a prompt holds."""

PER_FIELD = 5
"""Entries that a prompt takes from one list, such as the categories or a field of tags."""

NEIGHBOURS, MOST_THEMES, MOST_MOODS = 3, 8, 5
FEWEST_WORDS = 4
"""A title of so many words is a fact where there is no other."""

TOLD = 60
"""A fact of so many characters is a sentence: it may tell what happens in the item."""

Row = Mapping[str, Any]


def item_evidence(
    document: Row,
    vocabulary: Vocabulary,
    kind: str,
    count: Callable[[str], int],
    budget: int,
    reviews: Row | None = None,
    neighbours: Sequence[tuple[str, Sequence[str]]] = (),
) -> Evidence:
    """Evidence of a row of `item_documents`, at most `budget` tokens long.

    `reviews` is its row of `item_reviews`; `neighbours` are near items that are already profiled: (item_id, themes).
    """
    title, item_id = as_data(natural_title(document["title"]), TITLE), document["item_id"]
    facts = item_facts(document)
    named = "" if is_order(title) else title
    told = as_data(", ".join(facts), FACTS) or (named if len(words(named)) >= FEWEST_WORDS else "")
    stated = vocabulary.found_in(document["document"], "theme", document["categories"])
    pieces = [Piece("facts", told, item_id, labels=stated), *_reviewed(item_id, reviews)]
    near = _like(neighbours) if len(stated) < 3 else None
    kept = within_budget([*pieces, *([near] if near else [])], count, budget)
    said = " ".join(piece.text for piece in kept if piece.role == "review")
    like = next((piece.labels for piece in kept if piece.role == "like"), ())
    moods = vocabulary.found_in(f"{document['document']} {said}", "mood", document["categories"])
    return Evidence(
        entity_id=item_id,
        title=named,
        lines=_lines(as_data(kind, 30).capitalize() or "Item", title, kept),
        pieces=kept,
        themes=tuple(dict.fromkeys([*stated, *like]))[:MOST_THEMES],
        moods=moods[:MOST_MOODS],
        is_told=any(len(fact) > TOLD for fact in facts) or bool(said),
        enough=bool(told) or bool(said),
    )


def item_facts(document: Row) -> list[str]:
    """Categories and short facts of a document, each said once."""
    title = document["title"]
    listed = [fact for category in document["categories"] if (fact := as_data(category, 40))]
    facts = _distinct(listed, set())[:PER_FIELD]
    known = {as_data(natural_title(title), TITLE).lower(), title.lower(), *(fact.lower() for fact in listed)}
    said = set(words(" ".join([title, *listed])))
    for field, text in document_fields(scrub(document["document"], names=False)):
        if not (set(words(text)) or {text}) <= said:
            facts += _distinct(_field_facts(field, text), known)
            known |= {fact.lower() for fact in facts}
    return facts


def _lines(label: str, title: str, pieces: Iterable[Piece]) -> tuple[str, ...]:
    names = {"facts": "Facts", "review": "Reviews", "like": "Like"}
    told = [f"{names[piece.role]}: {piece.text or 'none given'}" for piece in pieces]
    return (f"{label}: {title}", *told)


def _reviewed(item_id: str, reviews: Row | None) -> list[Piece]:
    """What reviewers praise and criticise, and one of their sentences."""
    if not reviews:
        return []
    loved = [a["aspect"] for a in reviews["aspects"] if a["sentiment"] > 0.1][:3]
    not_loved = [a["aspect"] for a in reviews["aspects"] if a["sentiment"] < -0.1][:2]
    parts = [
        f"praised {', '.join(loved)}" if loved else "",
        f"criticised {', '.join(not_loved)}" if not_loved else "",
        *(as_data(scrub(snippet), FACT) for snippet in reviews["snippets"][:1]),
    ]
    text = "; ".join(part for part in parts if part)
    return [Piece("review", text, item_id)] if text else []


def _like(neighbours: Sequence[tuple[str, Sequence[str]]]) -> Piece | None:
    """What near items are about, in the order of nearness."""
    themes = tuple(dict.fromkeys(theme for _, labels in neighbours[:NEIGHBOURS] for theme in labels))[:4]
    return Piece("like", ", ".join(themes), neighbours[0][0], labels=themes) if themes else None


def near_profiled(
    catalogue: Catalogue, places: Sequence[int], profiled: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[str, Sequence[str]]]]:
    """For items at `places` the nearest items of `profiled` (item_id -> themes), nearest first."""
    among = [catalogue.places[item_id] for item_id in profiled if item_id in catalogue.places]
    found = catalogue.nearest(places, among, NEIGHBOURS)
    ids = catalogue.item_ids
    return {
        ids[place]: [(ids[other], profiled[ids[other]]) for other in near]
        for place, near in zip(places, found, strict=True)
    }


def _field_facts(field: str, text: str) -> list[str]:
    """A field's text as short facts: the entries of a list, or the text; a mere number keeps its field's name."""
    entries = [as_data(entry, 40) for entry in text.split(",")]
    if len(entries) > 1 and all(len(entry) <= 30 for entry in entries):
        return entries
    fact = as_data(text, FACT)
    return [f"{as_data(field, 30).split(' ')[-1]} {fact}" if not words(fact) else fact]


def _distinct(facts: list[str], known: set[str]) -> list[str]:
    """The first PER_FIELD facts that are new, without regard to case."""
    new = {fact.lower(): fact for fact in reversed(facts) if fact and fact.lower() not in known}
    return list(reversed(new.values()))[:PER_FIELD]
