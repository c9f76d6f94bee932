"""What the language model is told of a recommendation, the form of its answer, and what of an answer is published.

It phrases statements that hold already. With closed wording the form leaves it the choice of statements and of the
words around them; with free wording its sentence is checked against the evidence, as a profile is.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import Field

from ray_tasks.evidence.pieces import Evidence, Piece
from ray_tasks.explaining.statements import Item, Statement
from ray_tasks.explaining.wording import joined
from ray_tasks.privacy.protected import infers_protected_trait
from ray_tasks.profiles import grounding, originality
from ray_tasks.profiles.answers import Answer, object_form, one_of, parse, text_form
from ray_tasks.profiles.checks import Grounds, Rejected
from ray_tasks.text import CODE, as_data, is_order, natural_title
from schemas.generation_config import Generator as GeneratorConfig

TITLE, CLAUSE, LONGEST = 60, 120, 400
"""Characters of a title and of a clause in a prompt, and of a text."""

FREE = rf"[A-Z“][^\"\\{{}}<>\[\]\n]{{9,{LONGEST - 20}}}[.]"
MAY = "(?:may suit you|may interest you|may be one for you|could be your next choice|is worth a look)"
PLAIN = (
    "it may suit, interest, please or fit you; could be your next choice, worth a look; since, besides, also, picked"
)
"""Words of an explanation that say nothing about the item by themselves."""
_QUOTED = re.compile("“([^“”]*)”")


class Explanation(Answer):
    """What the model says of a recommendation."""

    text: str = Field(min_length=10, max_length=LONGEST)


def told(item: Item, said: Sequence[Statement], cited: Mapping[str, Item], kind: str) -> Evidence:
    """What the prompt tells of a recommendation: the item, the history items that speak for it, and the clauses.

    `said` are its statements, what put it on the list first. Not `enough` where none of those is a clause about history
    items, or where a title speaks to a model instead of naming something: then the template serves.
    """
    personal = next((one for one in said if one.kind == "chosen"), said[0])
    titles = {item_id: _plain(one.title) for item_id, one in cited.items() if item_id in personal.item_ids}
    chosen = [Piece("chosen", title, item_id) for item_id, title in titles.items()]
    because = Piece("because", as_data(personal.clause, CLAUSE))
    others = [(one.kind, as_data(one.clause, CLAUSE)) for one in said if one is not personal]
    further = [Piece("popular" if kind == "popular" else "also", clause) for kind, clause in others if clause]
    pieces = [*chosen, because, *further]
    title = _plain(item.title)
    lines = [
        f"{as_data(kind, 30).capitalize() or 'Item'}: {title}",
        f"Chosen: {joined([_marked(piece.text) for piece in chosen])}",
        f"Because: {because.text}",
        *([f"Also: {'; '.join(piece.text for piece in further)}"] if further else []),
    ]
    fit = all(one and not is_order(one) for one in (title, *titles.values()))
    return Evidence(
        entity_id=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        title=title,
        lines=tuple(lines),
        pieces=tuple(pieces),
        enough=bool(chosen) and bool(personal.clause) and fit,
    )


def form(evidence: Evidence, config: GeneratorConfig) -> str:
    """JSON schema of the answer."""
    pattern = _closed(evidence) if config.wording == "closed" else FREE
    return object_form({"text": text_form(pattern)}, config.reasoning)


def _closed(evidence: Evidence) -> str:
    """`“Glory” may suit you, since you chose “Patton”: people who chose it often choose this too. Besides, ...`

    That many take the item is left out of no text, where it is what put the item on the list.
    """
    titles, because, popular, also = _parts(evidence)
    chosen = one_of([joined([_marked(title) for title in titles])])
    lead = f"{one_of([_marked(evidence.title)])} {MAY}, (?:since|because|as) you (?:chose|picked) {chosen}"
    clauses = [*popular, *also]
    pairs = ((a, b) for a in clauses for b in clauses if a != b)
    orders = [*(popular or also), *(f"{a}, and {b}" for a, b in pairs if not popular or popular[0] in (a, b))]
    more = f" (?:Besides|Also), {one_of(orders)}[.]" if orders else ""
    return f"{lead}: {one_of([because])}[.]{more}"


def check(text: str, evidence: Evidence, grounds: Grounds) -> dict[str, Any] | Rejected:
    """The text that an answer holds, if it names the item rightly and says nothing but what its evidence carries."""
    answer = parse(Explanation, text)
    if isinstance(answer, str):
        return Rejected(answer)
    said = cast(Explanation, answer).text
    reason = problem(said, evidence, grounds)
    return Rejected(reason) if reason else {"text": said}


def problem(said: str, evidence: Evidence, grounds: Grounds) -> str | None:
    """What is wrong with a text, in one term; None where it may be published."""
    titles, because, popular, also = _parts(evidence)
    named = _QUOTED.findall(said)
    if evidence.title not in named:
        return "misnamed_item"
    if set(named) - {evidence.title, *titles}:
        return "ungrounded_title"
    # What is left is the model's own: the clauses are true as they stand.
    own = _QUOTED.sub("it", said)
    for clause in (because, *popular, *also):
        own = own.replace(clause, "")
    if any(code not in evidence.text for code in CODE.findall(own)):
        return "code"
    if originality.is_foreign(_QUOTED.sub("", said), ""):
        return "wrong_language"
    if infers_protected_trait(own):
        return "protected_trait"
    return grounding.invention(own, f"{evidence.text}\n{PLAIN}", grounds.words)


def _parts(evidence: Evidence) -> tuple[list[str], str, list[str], list[str]]:
    """Titles of the history items, the clause about them, that many take the item, and what else can be said."""
    roles = ("chosen", "because", "popular", "also")
    chosen, because, popular, also = ([p.text for p in evidence.pieces if p.role == role] for role in roles)
    return chosen, "".join(because), popular, also


def _marked(title: str) -> str:
    return f"“{title}”"


def _plain(title: str) -> str:
    return as_data(natural_title(title), TITLE).translate(str.maketrans("“”„‟", "''''"))
