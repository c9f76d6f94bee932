"""Entities on local disk: a night plans over all users, asks about some and writes all, with few of them in memory."""

import math
import pickle
import tempfile
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


def chosen(entities: Iterable[Entity], due: Sequence[Due]) -> list[Entity]:
    """Entities by what a plan says of them, in its order."""
    places = {one.entity_id: place for place, one in enumerate(due)}
    found = [entity for entity in entities if entity.entity_id in places]
    return sorted(found, key=lambda entity: places[entity.entity_id])


def in_rounds(parts: Iterable[Sequence[Entity]], due: Sequence[Due], size: int) -> Iterator[list[Entity]]:
    """Entities by what a plan says of them, in its order, `size` at a time; one pass over the parts.

    Those whose turn is to come wait on local disk: to look for each round's in all parts takes the square of users.
    """
    round_of = {one.entity_id: place // size for place, one in enumerate(due)}
    with tempfile.TemporaryDirectory(prefix="nightrec-asked-") as folder:
        files = [Path(folder, str(number)) for number in range(math.ceil(len(due) / size))]
        for part in parts:
            waiting: dict[int, list[Entity]] = {}
            for entity in part:
                if entity.entity_id in round_of:
                    waiting.setdefault(round_of[entity.entity_id], []).append(entity)
            for number, entities in waiting.items():
                with files[number].open("ab") as file:
                    pickle.dump(entities, file)
        for number, path in enumerate(files):
            yield chosen(_entities(path), due[number * size : (number + 1) * size])


def _entities(path: Path) -> Iterator[Entity]:
    with path.open("rb") as file:
        end = path.stat().st_size
        while file.tell() < end:
            yield from pickle.load(file)  # noqa: S301 - this process has written it
