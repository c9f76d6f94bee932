"""Prompts of profiles: few-shot examples from a versioned file, and an entity's evidence as one more shot."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from ray_tasks.profile_text import as_data, document_fields, natural_title, words

TITLE, FACT, FACTS = 90, 140, 220
"""Characters of a title, of one fact and of all facts that a prompt holds."""

KINDS = (
    {"movie", "movies", "film", "films", "cinema", "viewers"},
    {"book", "books", "novel", "novels", "readers"},
    {"game", "games", "players"},
    {"show", "shows", "series", "tv", "sitcom"},
    {"song", "songs", "album", "music", "musical"},
    {"cream", "lotion", "perfume", "product", "products"},
    {"video", "videos"},
    {"website", "app"},
    {"play", "opera"},
)
"""Words that claim what kind of thing an item is: each group may be used only about its own kind."""


@dataclass(frozen=True)
class Evidence:
    """What a prompt tells about one item or user.

    `lines` are the labelled lines of the prompt; `text` is all of it, for grounding; `avoid` are category words of
    the catalogue and kinds that the evidence does not name; `enough` is False where the model is not asked.
    """

    entity_id: str
    lines: tuple[str, ...]
    title: str
    facts: tuple[str, ...]
    item_ids: tuple[str, ...] = ()
    enough: bool = True

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
    known = set(words(" ".join([title, *listed])))
    facts = list(dict.fromkeys(listed))[:8]
    for field, text in document_fields(document):
        fact = as_data(text, FACT)
        if not fact or (words(fact) and set(words(fact)) <= known):
            continue  # the title and the categories again
        facts.append(f"{as_data(field, 30).split(' ')[-1]} {fact}" if len(fact) <= 20 else fact)
    told = as_data(", ".join(facts), FACTS)
    label = as_data(kind, 30).capitalize() or "Item"
    enough = bool(told) or len(words(name)) >= 4
    lines = (f"{label}: {name}", f"Facts: {told or 'none given'}")
    return Evidence(item_id, lines, name, tuple(facts), (), enough)


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
    """Words that would claim what the evidence does not say: other categories, other kinds of things."""
    known = set(words(evidence.text))
    kinds = {word for group in KINDS if not group & known for word in group}
    return frozenset(word for word in vocabulary | kinds if not _is_known(word, known))


def _is_known(word: str, known: set[str]) -> bool:
    """Whether evidence has the word, in singular or plural, or as a part (`sci-fi thriller`, `film-noir`)."""
    parts = {part for one in known for part in [one, *one.split("-")]}
    return bool({word, word.rstrip("s"), word + "s", word.removesuffix("'s")} & parts)
