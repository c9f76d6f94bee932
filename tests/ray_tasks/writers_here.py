"""Profile writers in the process of the test: the same blocks through the same writer, without Ray."""

from collections.abc import Callable

from ray_tasks.profiles.wire import to_wire
from ray_tasks.profiles.writer import ProfileWriter, Writers


class WritersHere(Writers):
    """Asks in this process, block after block."""

    def _by_workers(self, entities, spare):
        writer = ProfileWriter(self._kind, self._config, self._words, 1, self._generator)
        return (writer(block, spare) for block in to_wire(entities, self._config.batch_size))


def without_ray(generator=None) -> Callable[..., WritersHere]:
    """What takes the place of `Writers`, with a generator of the test in place of the configured one."""
    return lambda kind, config, words: WritersHere(kind, config, words, generator)
