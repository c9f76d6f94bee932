"""Entities on local disk: a night plans over all users, asks about some and writes all, with few of them in memory."""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ray_tasks.profiles.plan import Due, Entity


class EntityFiles:
    """Parts of entities, in the order in which they came; each pass reads them again."""

    def __init__(self, folder: Path, parts: Iterable[Sequence[Entity]]) -> None:
        self._files = []
        for number, entities in enumerate(parts):
            self._files.append(folder / f"{number:06d}.pickle")
            self._files[-1].write_bytes(pickle.dumps(list(entities)))

    def __iter__(self) -> Iterator[list[Entity]]:
        for file in self._files:
            yield pickle.loads(file.read_bytes())  # noqa: S301 - this process has written it


def chosen(parts: Iterable[Sequence[Entity]], due: Sequence[Due]) -> list[Entity]:
    """Entities by what a plan says of them, in its order."""
    places = {one.entity_id: place for place, one in enumerate(due)}
    found = [entity for part in parts for entity in part if entity.entity_id in places]
    return sorted(found, key=lambda entity: places[entity.entity_id])
