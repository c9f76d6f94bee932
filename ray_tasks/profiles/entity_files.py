"""Entities on local disk: a night plans over all users, asks about some and writes all, with few of them in memory."""

import math
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ray_tasks.profiles.plan import Due, Entity

Packed = list[tuple[str, bytes]]
"""Entities by id, each pickled: who moves them need not make them."""


class EntityFiles:
    """Parts of entities, in the order in which they came; each pass reads them again."""

    def __init__(self, folder: Path, parts: Iterable[Sequence[Entity]]) -> None:
        self._files = []
        for number, entities in enumerate(parts):
            self._files.append(folder / f"{number:06d}.pickle")
            self._files[-1].write_bytes(pickle.dumps(_packed(entities)))

    def __iter__(self) -> Iterator[list[Entity]]:
        return ([_entity(one) for _, one in part] for part in self.packed())

    def packed(self) -> Iterator[Packed]:
        """The parts as they lie in the files."""
        return (pickle.loads(file.read_bytes()) for file in self._files)  # noqa: S301 - this process has written it


def chosen(entities: Iterable[Entity], due: Sequence[Due]) -> list[Entity]:
    """Entities by what a plan says of them, in its order."""
    places = {one.entity_id: place for place, one in enumerate(due)}
    found = [entity for entity in entities if entity.entity_id in places]
    return sorted(found, key=lambda entity: places[entity.entity_id])


def in_rounds(parts: Iterable[Sequence[Entity]], due: Sequence[Due], size: int) -> Iterator[list[Entity]]:
    """Entities by what a plan says of them, in its order, `size` at a time; one pass over the parts.

    They come without their figures, which no model is told. Those whose turn is to come wait on local disk: to look for
    each round's in all parts takes the square of users.
    """
    round_of = {one.entity_id: place // size for place, one in enumerate(due)}
    with tempfile.TemporaryDirectory(prefix="nightrec-asked-") as folder:
        files = [Path(folder, str(number)) for number in range(math.ceil(len(due) / size))]
        for part in parts.packed() if isinstance(parts, EntityFiles) else map(_packed, parts):
            waiting: dict[int, list[bytes]] = {}
            for entity_id, entity in part:
                if entity_id in round_of:
                    waiting.setdefault(round_of[entity_id], []).append(entity)
            for number, packed in waiting.items():
                with files[number].open("ab") as file:
                    pickle.dump(packed, file)
        for number, path in enumerate(files):
            entities = (replace(entity, figures={}) for entity in _entities(path))
            yield chosen(entities, due[number * size : (number + 1) * size])


def _entities(path: Path) -> Iterator[Entity]:
    with path.open("rb") as file:
        end = path.stat().st_size
        while file.tell() < end:
            yield from map(_entity, pickle.load(file))  # noqa: S301 - this process has written it


def _packed(entities: Iterable[Entity]) -> Packed:
    return [(one.entity_id, pickle.dumps(one)) for one in entities]


def _entity(packed: bytes) -> Entity:
    found: Entity = pickle.loads(packed)  # noqa: S301 - this process has written it
    return found
