"""What asks the model, checks its answers and asks once more, and the workers that do so for a night."""

import hashlib
import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from ray_tasks.generation.factory import make_generator
from ray_tasks.generation.protocol import Generation, Generator, Request
from ray_tasks.profiles.checks import Grounds, Rejected
from ray_tasks.profiles.kinds import WRITTEN
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.prompt_file import PromptFile
from ray_tasks.profiles.wire import ANSWERS, answer_row, from_wire, to_wire
from schemas.errors import ModelError
from schemas.generation_config import Generator as GeneratorConfig

log = logging.getLogger("nightrec.profiles")

PROGRESS_SECONDS = 15
BATCHES_PER_BLOCK = 2
"""Batches of the generator per block: a block is what a killed worker has to do again."""

ATTEMPTS = 2


class Author:
    """What is asked of the model about an entity, and what of its answer is accepted."""

    def __init__(self, kind: str, config: GeneratorConfig, words: frozenset[str]) -> None:
        self._kind, self._config = WRITTEN[kind], config
        self.prompt = PromptFile.load(self._kind.prompt_version(config))
        self._grounds = Grounds(self.prompt.shots, words)

    def request(self, entity: Entity, attempt: int) -> Request:
        """The first attempt is greedy; the second is sampled with a seed that the entity's key decides."""
        evidence = entity.evidence
        foreign = (word for word in self.prompt.own_words - self._kind.plain if word not in evidence.text.lower())
        seed = int(hashlib.sha256(f"{entity.key}-{attempt}".encode()).hexdigest()[:8], 16) if attempt else None
        return Request(
            self.prompt.prompt(evidence),
            self._kind.form(evidence, self._config, self._grounds),
            self._grounds.avoid(evidence).union(foreign),
            seed,
        )

    def again(self, answered: Sequence[tuple[Entity, dict[str, Any]]], spare: float) -> list[Entity]:
        """The failed among (entity, row of its attempt) that are asked once more, as far as the budget reaches.

        A plan reserves the longest answer for each. What the answers left of that, and `spare` tokens for each, pay
        for more attempts in the entities' order.
        """
        longest = self._config.max_new_tokens
        left = sum(longest - row["output_tokens"] + spare for _, row in answered)
        found = []
        for entity, row in answered:
            if row["reason"]:
                left -= row["prompt_tokens"] + longest
                if left < 0:
                    break
                found.append(entity)
        return found

    def checked(self, entity: Entity, generation: Generation, attempt: int) -> dict[str, Any]:
        """The row of wire.ANSWERS: the profile, or the reason why the attempt failed."""
        outcome: Any = Rejected(generation.error) if generation.error else None
        outcome = outcome or self._kind.check(generation.text, entity.evidence, self._grounds)
        return answer_row(entity, generation, outcome, attempt)


class ProfileWriter:
    """Asks the model for a block of profiles and checks them. The model is loaded once, on construction."""

    def __init__(
        self,
        kind: str,
        config: GeneratorConfig,
        words: frozenset[str],
        threads: int,
        generator: Any = None,
    ) -> None:
        self._author = Author(kind, config, words)
        self._generator: Generator = generator or make_generator(config, self._author.prompt.prefix, threads)
        self._has_answered = False

    def __call__(self, block: pa.Table, spare: float = math.inf) -> pa.Table:
        """From a table of wire.ENTITIES to one of wire.ANSWERS: a row for every attempt at every entity.

        `spare` is what second attempts may cost in tokens per entity, beside what first ones leave of their reserve.
        """
        pending = from_wire(block)
        rows: list[dict[str, Any]] = []
        for attempt in range(ATTEMPTS):
            try:
                generations = self._ask([self._author.request(entity, attempt) for entity in pending])
            except ModelError as error:
                if not rows:
                    raise
                log.error("no second attempt at %d of a block: %s", len(pending), error)  # the first one is paid for
                generations = [Generation("", 0, 0, "unavailable")] * len(pending)
            checked = [
                self._author.checked(entity, generation, attempt)
                for entity, generation in zip(pending, generations, strict=True)
            ]
            rows += checked
            pending = self._author.again(list(zip(pending, checked, strict=True)), spare)
            if not pending:
                break
        return pa.Table.from_pylist(rows, schema=ANSWERS)

    def _ask(self, requests: Sequence[Request]) -> list[Generation]:
        """The answers. A block that the generator refuses as a whole is asked one by one: one row stops no other."""
        try:
            answers = list(self._generator.generate(requests))
            self._has_answered = True
            return answers
        except ModelError:
            raise
        except Exception as error:
            log.warning("a block of %d prompts failed (%s); asking one by one", len(requests), error)
        alone = [self._ask_alone(request) for request in requests]
        self._has_answered |= any(isinstance(answer, Generation) for answer in alone)
        if not self._has_answered:  # then it is not the prompts' fault
            raise ModelError(f"the generator failed on every one of {len(requests)} prompts: {alone[0]}")
        failed = Generation("", 0, 0, "failed")
        return [failed if isinstance(answer, Exception) else answer for answer in alone]

    def _ask_alone(self, request: Request) -> Generation | Exception:
        try:
            return self._generator.generate([request])[0]
        except Exception as error:
            log.warning("a prompt of %d characters failed: %s", len(request.text), error)
            return error


class Writers:
    """Workers that ask the model: started for the first entities, and kept for all that follow in a Ray session.

    One that dies is started again and does its block anew. `generator` replaces the configured one in tests.
    """

    def __init__(
        self, kind: str, config: GeneratorConfig, words: frozenset[str], generator: Generator | None = None
    ) -> None:
        self._kind, self._config, self._words, self._generator = kind, config, words, generator
        self._pool: Any = None

    def ask(self, entities: Sequence[Entity], spare: float = math.inf) -> Iterator[pa.Table]:
        """Tables of wire.ANSWERS as they come, with progress; entities are asked about in their order.

        Read it to its end before the next call: the workers are the same.
        `spare` is what second attempts may cost in tokens per entity, beside what first ones leave of their reserve.
        """
        if not entities:
            return
        if self._config.backend == "vllm":
            author = Author(self._kind, self._config, self._words)
            tables = _by_vllm(entities, author, self._config, spare)
        else:
            tables = self._by_workers(entities, spare)
        yield from _with_progress(tables, len(entities), self._kind)

    def _by_workers(self, entities: Sequence[Entity], spare: float) -> Iterator[pa.Table]:
        size = self._config.batch_size * BATCHES_PER_BLOCK
        self._pool = pool = self._pool or self._started(math.ceil(len(entities) / size))
        for block in to_wire(entities, size):
            answered = None if pool.has_free() else pool.get_next_unordered()
            pool.submit(lambda worker, one: worker.answers.remote(one, spare), block)
            if answered is not None:  # while the worker is busy with the next block
                yield answered
        while pool.has_next():
            yield pool.get_next_unordered()

    def _started(self, blocks: int) -> Any:
        import ray
        from ray.util import ActorPool

        from ray_tasks.ray_session import cpus_per_actor, threads_per_actor

        config = self._config
        if config.backend == "transformers" and self._generator is None:
            from ray_tasks.model_files import verify_model

            verify_model(config.path)  # the error is clearer from here than from a worker
        # An endpoint's limits are kept by one process; only local models gain from several.
        count = 1 if config.backend == "openai" else min(config.actors, blocks)
        worker = ray.remote(num_cpus=cpus_per_actor(count), max_restarts=-1, max_task_retries=-1)(_Worker)
        arguments = self._kind, config, self._words, threads_per_actor(count), self._generator
        return ActorPool([worker.remote(*arguments) for _ in range(count)])


class _Worker:
    """An actor around a ProfileWriter, which its first block makes: Ray hides the type of what fails before."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    @cached_property
    def _writer(self) -> ProfileWriter:
        return ProfileWriter(*self._arguments)

    def answers(self, block: pa.Table, spare: float) -> pa.Table:
        return self._writer(block, spare)


def _by_vllm(
    entities: Sequence[Entity], author: Author, config: GeneratorConfig, spare: float = math.inf
) -> Iterator[pa.Table]:
    """All entities through one vLLM pipeline per attempt, a table of wire.ANSWERS for every answer.

    Where a second attempt is due, both come together at the end: an entity is done when its last attempt is.
    """
    from ray_tasks.generation.vllm_pipeline import vllm_generations

    pending, failed = list(entities), dict[str, list[dict[str, Any]]]()
    for attempt in range(ATTEMPTS):
        requests = [author.request(entity, attempt) for entity in pending]
        answered = dict[int, dict[str, Any]]()
        for number, generation in vllm_generations(requests, config, author.prompt.prefix) if requests else ():
            entity = pending[number]
            answered[number] = author.checked(entity, generation, attempt)
            rows = [*failed.pop(entity.entity_id, []), answered[number]]
            if answered[number]["reason"]:
                failed[entity.entity_id] = rows
            else:
                yield pa.Table.from_pylist(rows, schema=ANSWERS)
        pending = author.again([(pending[number], answered[number]) for number in sorted(answered)], spare)
    for rows in failed.values():
        yield pa.Table.from_pylist(rows, schema=ANSWERS)


def _with_progress(tables: Iterable[Any], total: int, kind: str) -> Iterator[pa.Table]:
    """Pass tables on; log done, rate and time left every PROGRESS_SECONDS."""
    started = told = time.monotonic()
    done = tokens = 0
    log.info("%s texts: asking the model for %s", kind, f"{total:,}")
    for table in tables:
        done += len(set(table["entity_id"].to_pylist()))
        tokens += sum(table["prompt_tokens"].to_pylist()) + sum(table["output_tokens"].to_pylist())
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS or done == total:
            seconds, told = now - started, now
            left = seconds / done * (total - done)
            log.info("%s texts: %d / %d, %.0f tokens/s, %.0f s left", kind, done, total, tokens / seconds, left)
        yield table
