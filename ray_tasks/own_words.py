"""What users say they like: their newest requests, and the attributes that the source names as stated."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from ray_tasks.interactions.served import said_before
from ray_tasks.interactions.stated import UNDATED
from ray_tasks.privacy.scrubbing import scrub
from ray_tasks.text import as_data
from schemas.night import Task

REQUESTS, CHARACTERS, READ = 3, 200, 4_000
"""Requests of a user that count, the newest; characters of each that are kept, and that are read at all."""


@dataclass(frozen=True)
class OwnWords:
    """A user's own words as the source holds them, newest first, and when the newest was said (microseconds)."""

    user_id: str
    words: tuple[str, ...]
    time: int

    @property
    def text(self) -> str:
        """The words without personal data, as one line; empty where nothing is left of them.

        It only becomes a vector: no prompt and no table holds it.
        """
        parts = (as_data(scrub(one[:READ]), CHARACTERS) for one in self.words)
        return ". ".join(part for part in parts if part)


def own_words(task: Task) -> list[OwnWords]:
    """What the night's users said before as_of."""
    source = task.config.source.users
    fields = source.stated_fields if source else ()
    return of_tables(task.read("requests").read(), task.read("users").read(), fields, task.config.as_of)


def of_tables(requests: pa.Table, users: pa.Table, fields: Sequence[str], as_of: datetime) -> list[OwnWords]:
    """Own words by user, in order of id, from `requests` before `as_of` and the named attributes of `users`.

    Attributes have no date, so that no window of the past may know a user who has one.
    """
    order = [("user_id", "ascending"), ("timestamp", "descending"), ("text", "ascending")]
    asked = said_before(requests, as_of).sort_by(order)
    times = asked["timestamp"].cast(pa.int64()).to_pylist()
    words: dict[str, list[str]] = {}
    newest: dict[str, int] = {}
    for user_id, text, time in zip(asked["user_id"].to_pylist(), asked["text"].to_pylist(), times, strict=True):
        newest.setdefault(user_id, time)
        if len(own := words.setdefault(user_id, [])) < REQUESTS:
            own.append(text)
    for row in users.to_pylist() if fields else ():
        told = [part["text"] for part in row["attributes"] or () if part["field"] in fields]
        if told:
            words.setdefault(row["user_id"], []).extend(told)
            newest[row["user_id"]] = UNDATED
    return [OwnWords(user_id, tuple(words[user_id]), newest[user_id]) for user_id in sorted(words)]


def texts_of(found: Iterable[OwnWords]) -> pa.Table:
    """Columns user_id and stated, of those whose words say something."""
    told = [(one.user_id, text) for one in found if (text := one.text)]
    user_ids, texts = ([row[place] for row in told] for place in (0, 1))
    return pa.table({"user_id": pa.array(user_ids, pa.string()), "stated": pa.array(texts, pa.string())})
