"""Words of descriptions that tell what items are about: nouns that some category has more often than the catalogue.

No tagger and no model: a noun is known by its neighbours (`the police and`, `of murder.`), a name by its capital, and
a telling word by its lift, the ratio of its rate in a category to its rate in all items (class-based PMI).
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ray_tasks.text import document_fields, words
from ray_tasks.vocabulary.labels import parts, stems, tokens

FEWEST_DOCUMENTS = 50
"""Descriptions below which their words are accidents."""

COMMON = 0.08
"""A word in a larger share of the descriptions is a commonplace."""

LIFT, NOUN, NAME = 2.0, 0.2, 0.5
"""Lowest lift; lowest share of occurrences that stand as a noun does; highest share of those with a capital."""

KNOWN = 0.75
"""A term that the night before had needs this share of LIFT and NOUN: it does not come and go with every item."""

FEWEST_IN_CATEGORY = 20

_BEFORE = frozenset(
    words(
        "a an the his her its their our your my this that these those some any no every each another both of in with "
        "by from for on at into about against between through during without over under after before"
    )
)
_AFTER = frozenset(".,;:!?()") | frozenset(
    words(
        "and or but of in with by from for on at into about to is are was were has have had who whom which that when "
        "where while as after before until because must can will would could may he she they it during than"
    )
)
FUNCTION_WORDS = frozenset(
    [
        *_BEFORE,
        *_AFTER,
        *words("i you we him them me us not so if then there here what why how all be been do does did"),
    ]
)
_VAGUE = frozenset(
    map(
        stems,
        words(
            "film movie game book song show series episode story tale plot scene part version sequel man woman boy "
            "girl guy people person character protagonist hero one way thing day night year week month time hour "
            "moment life world place house home town city body head hand face eye heart mind case number kind sort "
            "lot group date device something everything end start beginning return turn course name title money boss "
            "partner problem situation"
        ),
    )
)
"""Nouns that stand for the item, for anybody or for anything: a film about a man, a town and a case."""

_PIECE = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|[.,;:!?()]")
_PROSE_WORDS, _PROSE_SHARE = 8, 0.2

Row = Mapping[str, Any]


def description(document: Row) -> str:
    """Fields of a row of `item_documents` that are sentences: neither its title nor mere lists of names or tags."""
    told = (text for _, text in document_fields(document["document"]) if text != document["title"])
    return " . ".join(text for text in told if _is_prose(text))


def telling_terms(documents: Sequence[Row], known: Collection[str] = ()) -> dict[str, float]:
    """Terms of one or two words and how much they tell: occurrences in their category times log lift.

    `known` are terms of the night before, which need less to stay.
    """
    texts = {row["item_id"]: text for row in documents if (text := description(row))}
    if len(texts) < FEWEST_DOCUMENTS:
        return {}
    told = [row for row in documents if row["item_id"] in texts]
    holding = _holding(texts, known)
    inside: defaultdict[str, set[str]] = defaultdict(set)
    for row in told:
        for category in {stems(part) for whole in row["categories"] for part in parts(whole)}:
            inside[category].add(row["item_id"])
    found: dict[str, float] = {}
    for term, items in holding.items():
        if len(items) <= COMMON * len(texts) and stems(term) not in inside and stems(term) not in _VAGUE:
            lift, strength = _contrast(items, inside, len(texts))
            if lift >= LIFT * (KNOWN if term in known else 1):
                found[term] = strength
    return found


def _contrast(items: set[str], inside: Mapping[str, set[str]], total: int) -> tuple[float, float]:
    """Highest lift of a term in a category, smoothed by one expected item, and its highest weighted PMI.

    The two may be of different categories, so that neither jumps when two categories change places.
    """
    rate, best, strength = len(items) / total, 0.0, 0.0
    for members in inside.values():
        if len(members) >= FEWEST_IN_CATEGORY:
            both = len(items & members)
            lift = (both + 1) / (len(members) * rate + 1)
            best = max(best, lift)
            strength = max(strength, both * math.log(lift) if lift >= LIFT * KNOWN else 0.0)
    return best, strength


def _holding(texts: Mapping[str, str], known: Collection[str]) -> dict[str, set[str]]:
    """Items whose texts hold a term, for terms that stand as nouns do and are no names."""
    nouns: defaultdict[str, set[str]] = defaultdict(set)
    items: defaultdict[str, set[str]] = defaultdict(set)
    framed, seen, capital = Counter[str](), Counter[str](), Counter[str]()
    for item_id, text in texts.items():
        for term, is_noun, is_capital in _occurrences(text):
            seen[term] += 1
            framed[term] += is_noun
            capital[term] += is_capital
            (items if " " not in term else nouns)[term].add(item_id)
    holding = {**items, **nouns}
    return {
        term: holding[term]
        for term in sorted(seen)
        if framed[term] >= NOUN * (KNOWN if term in known else 1) * seen[term] and capital[term] < NAME * seen[term]
    }


def _occurrences(text: str) -> Iterator[tuple[str, bool, bool]]:
    """(term, stands as a noun, has a capital inside a sentence); pairs of words only where they stand as a noun."""
    pieces = [".", *_PIECE.findall(text), ".", "."]
    lower = [piece.lower() for piece in pieces]
    content = [len(word) > 2 and word not in FUNCTION_WORDS and word[0].isalpha() for word in lower]
    for at in range(1, len(pieces) - 2):
        if not content[at]:
            continue
        starts = lower[at - 1] in _BEFORE
        is_capital = pieces[at][0].isupper() and lower[at - 1] not in ".!?:"
        yield lower[at], starts and lower[at + 1] in _AFTER, is_capital
        if starts and content[at + 1] and lower[at + 2] in _AFTER:
            yield f"{lower[at]} {lower[at + 1]}", True, is_capital or pieces[at + 1][0].isupper()


def _is_prose(text: str) -> bool:
    found = tokens(text)
    return len(found) >= _PROSE_WORDS and sum(word in FUNCTION_WORDS for word in found) >= _PROSE_SHARE * len(found)
