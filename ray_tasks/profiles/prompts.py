"""Prompts of profiles: few-shot examples from a versioned file, and an entity's evidence as one more shot."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from ray_tasks.profiles.text import as_data, document_fields, natural_title, words

TITLE, FACT, FACTS = 90, 140, 160
"""Characters of a title, of one fact and of all facts that a prompt holds."""

PER_FIELD = 5
"""Entries that a prompt takes from one list, such as the categories or a field of tags."""

CLAIMS = tuple(
    frozenset(group.split())
    for group in (
        "movie movies film films cinema",
        "book books novel novels",
        "game games",
        "show shows series tv sitcom",
        "song songs album music musical",
        "cream lotion perfume product products",
        "video videos",
        "website app",
        "play opera",
        "board card",
        "romance romantic romanticism love sensual erotic dating",
        "comedy humor humorous funny lighthearted light-hearted heartwarming uplifting family children children's "
        "animation romance musical casual gentle cute",
        "horror dark darkness gritty ominous violence violent crime thriller war film-noir suspense suspenseful "
        "mystery mysterious gore zombies shooter",
        "action adventure thriller exciting thrilling excitement thrills racing war superhero superheroes",
        "sci-fi futuristic technology space robots cyberpunk",
        "fantasy magic magical supernatural horror vampire mythology",
    )
)
"""Words of one kind or mood: a profile may use them only if the evidence has a word of the same group."""

PLOT = frozenset(
    (
        "about",
        "hero",
        "heroes",
        "young",
        "girl",
        "character",
        "characters",
        "protagonist",
        "journey",
        "involving",
        "follows",
    )
)
"""Words that tell what happens; about an item of which only categories are known they are invented."""


@dataclass(frozen=True)
class Evidence:
    """What a prompt tells about one item or user.

    `lines` are the labelled lines of the prompt, `title` and `facts` their content; `item_ids` are the items that a
    user's evidence is taken from; `enough` is False where there is too little to ask the model.
    """

    entity_id: str
    lines: tuple[str, ...]
    title: str
    facts: tuple[str, ...]
    item_ids: tuple[str, ...] = ()
    enough: bool = True

    @property
    def is_told(self) -> bool:
        """Whether any fact is a sentence or more: only then may a profile say what happens in the item."""
        return any(len(fact) > 60 for fact in self.facts)

    @property
    def text(self) -> str:
        """All that the prompt says about the entity."""
        return "\n".join(self.lines)


@dataclass(frozen=True)
class PromptFile:
    """An instruction and examples, shared by all prompts of a version."""

    version: str
    text: str

    @classmethod
    def load(cls, version: str) -> "PromptFile":
        """The file of a version, as shipped with the package."""
        return cls(version, (files("ray_tasks") / "prompts" / f"{version}.txt").read_text(encoding="utf-8").strip())

    @property
    def prefix(self) -> str:
        """What every prompt begins with."""
        return f"{self.text}\n\n"

    @cached_property
    def shots(self) -> tuple[str, ...]:
        """The examples, without the instruction."""
        return tuple(self.text.split("\n\n")[1:])

    @cached_property
    def own_words(self) -> frozenset[str]:
        """Words of exactly one example: its content, which another profile must not copy."""
        counts = Counter(word for shot in self.shots for word in set(words(shot)))
        return frozenset(word for word, shots in counts.items() if shots == 1 and len(word) > 3)

    def prompt(self, evidence: Evidence) -> str:
        """The text that the model completes after `prefix`."""
        return f"{evidence.text}\nSummary:"


def item_evidence(item_id: str, title: str, categories: Iterable[str], document: str, kind: str) -> Evidence:
    """What a prompt tells about an item: its kind, title, categories, and short facts of its document."""
    name = as_data(natural_title(title), TITLE)
    listed = [fact for category in categories if (fact := as_data(category, 40))]
    facts = _distinct(listed, set())[:PER_FIELD]
    known = {name.lower(), title.lower(), *(fact.lower() for fact in listed)}
    said = set(words(" ".join([title, *listed])))
    for field, text in document_fields(document):
        if not (set(words(text)) or {text}) <= said:
            facts += _distinct(_field_facts(field, text), known)
            known |= {fact.lower() for fact in facts}
    told = as_data(", ".join(facts), FACTS)
    label = as_data(kind, 30).capitalize() or "Item"
    enough = bool(told) or len(words(name)) >= 4
    lines = (f"{label}: {name}", f"Facts: {told or 'none given'}")
    return Evidence(item_id, lines, name, tuple(facts), (), enough)


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


def user_evidence(user_id: str, recent: list[tuple[str, str]], categories: list[str], n_items: int) -> Evidence:
    """What a prompt tells about a user: titles of recent items as (item_id, title), and most frequent categories."""
    titles = [as_data(natural_title(title), 45).replace(";", ",") for _, title in recent]
    often = [as_data(category, 30) for category in categories]
    lines = (f"Recent: {'; '.join(titles)}", f"Often: {', '.join(often) or 'various'}")
    return Evidence(
        user_id, lines, "; ".join(titles), tuple(often), tuple(item for item, _ in recent), enough=n_items >= 3
    )


def category_words(categories: Iterable[Iterable[str]]) -> frozenset[str]:
    """The catalogue's categories that are one word: what a profile may say only where the evidence does."""
    return frozenset(found[0] for one in categories for category in one if len(found := words(category)) == 1)


def ungrounded_words(evidence: Evidence, vocabulary: frozenset[str]) -> frozenset[str]:
    """Words that would claim what the evidence does not say: other categories, kinds of things and moods."""
    known = set(words(evidence.text))
    allowed = {word for group in CLAIMS if any(_is_known(word, known) for word in group) for word in group}
    kinds = {word for group in CLAIMS for word in group} - allowed
    plot = frozenset() if evidence.is_told else PLOT - known
    return frozenset(word for word in vocabulary | kinds if not _is_known(word, known)) | plot


def _is_known(word: str, known: set[str]) -> bool:
    """Whether evidence has the word, in singular or plural, or as a part (`sci-fi thriller`, `film-noir`)."""
    parts = {part for one in known for part in [one, *one.split("-")]}
    return bool({word, word.rstrip("s"), word + "s", word.removesuffix("'s")} & parts)
