"""Personal data leaves a text before it enters a prompt, a log or a table: contact data, handles, names of people.

A documented rule set (docs/adr/0015): no model, no download, the same result everywhere. What goes is replaced by a
plain word, so that the sentence still reads: `mail me at bob@x.org` becomes `mail me at an address`.
"""

import unicodedata
from collections.abc import Iterator

from ray_tasks.privacy.rules import Rule, rules

ROUNDS = 6
"""A text that rules still change after so many passes is nothing that a person wrote: it is dropped whole."""


def scrub(text: str, names: bool = True) -> str:
    """The text without personal data; `names=False` for catalogue texts, where only contact data goes.

    A catalogue's names (actors, authors, makers) are facts about items, and its titles may hold an `@` or a street.
    The result is NFKC-normalized, without invisible characters, since those hide addresses from rules; whatever was
    scrubbed stays the same when it is scrubbed again. Linear in the length of the text.
    """
    for _ in range(ROUNDS):
        cleaner = _once(text, names)
        if cleaner == text:
            return text
        text = cleaner
    return ""


def _once(text: str, names: bool) -> str:
    """One pass of all rules, in order."""
    visible = (char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    text = unicodedata.normalize("NFKC", "".join(visible))
    for rule in rules(names):
        text = _apply(rule, text)
    return text


def _apply(rule: Rule, text: str) -> str:
    pieces, end = [], 0
    for start, stop in _spans(rule, text):
        before = " " if start and text[start - 1].isalnum() else ""
        after = " " if stop < len(text) and text[stop].isalnum() else ""
        pieces += [text[end:start], before, rule.word, after]
        end = stop
    return "".join([*pieces, text[end:]])


def _spans(rule: Rule, text: str) -> Iterator[tuple[int, int]]:
    """Where the personal parts stand, in order."""
    group: str | int = "x" if "x" in rule.pattern.groupindex else 0
    for match in rule.pattern.finditer(text):
        if rule.check is None or rule.check(match[group]):
            yield match.span(group)
