"""The actor that asks the model and checks its answers, and the Ray Data pipeline around it."""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from ray_tasks.generation.factory import make_generator
from ray_tasks.generation.protocol import Generation, Generator, Prompt
from ray_tasks.profiles.checks import Rejected
from ray_tasks.profiles.kinds import KINDS
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.prompts import Evidence, PromptFile, ungrounded_words
from schemas.config import Generator as GeneratorConfig

log = logging.getLogger("nightrec.profiles")

PROGRESS_SECONDS = 15
ANSWERS = pa.schema(
    [
        ("entity_id", pa.string()),
        ("profile", pa.string()),  # JSON of the checked profile; null where it was rejected
        ("reason", pa.string()),  # null where it was accepted
        ("output", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
    ]
)


class ProfileWriter:
    """Asks the model for a batch of profiles. The model is loaded once, on construction."""

    def __init__(
        self, kind: str, config: GeneratorConfig, vocabulary: frozenset[str], threads: int, generator: Any = None
    ) -> None:
        self._kind = KINDS[kind]
        self._prompt = PromptFile.load(self._kind.prompt_version)
        self._vocabulary = vocabulary
        self._generator: Generator = generator or make_generator(config, self._prompt.prefix, threads)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """From a table with the column `evidence` (JSON) to one of ANSWERS, row by row."""
        evidence = [_from_json(text) for text in batch["evidence"].to_pylist()]
        claims = [ungrounded_words(one, self._vocabulary) for one in evidence]
        prompts = [
            Prompt(self._prompt.prompt(one), words | self._foreign(one))
            for one, words in zip(evidence, claims, strict=True)
        ]
        answers = [
            self._check(generation, one, words)
            for generation, one, words in zip(self._ask(prompts), evidence, claims, strict=True)
        ]
        return pa.Table.from_pylist(answers, schema=ANSWERS)

    def _foreign(self, evidence: Evidence) -> frozenset[str]:
        """Words of the examples that this entity's profile must not copy."""
        return frozenset(word for word in self._prompt.own_words if word not in evidence.text.lower())

    def _ask(self, prompts: Sequence[Prompt]) -> list[Generation | None]:
        """The answers; None for a prompt that the generator cannot take. One such row does not stop the others."""
        try:
            return list(self._generator.generate(prompts))
        except Exception as error:
            if len(prompts) == 1:
                raise
            log.warning("a batch of %d prompts failed (%s); asking one by one", len(prompts), error)
        answers: list[Generation | None] = []
        failure: Exception | None = None
        for prompt in prompts:
            try:
                answers.extend(self._generator.generate([prompt]))
            except Exception as error:
                failure = error
                answers.append(None)
        if failure is not None and not any(answers):
            raise failure  # not the rows' fault
        return answers

    def _check(self, generation: Generation | None, evidence: Evidence, claims: frozenset[str]) -> dict[str, Any]:
        answer = {"entity_id": evidence.entity_id, "profile": None, "reason": "failed", "output": ""}
        if generation is None:
            return {**answer, "prompt_tokens": 0, "output_tokens": 0}
        outcome = self._kind.parse(generation.text, evidence, self._prompt, claims)
        rejected = isinstance(outcome, Rejected)
        return {
            **answer,
            "profile": None if isinstance(outcome, Rejected) else outcome.model_dump_json(),
            "reason": outcome.reason if isinstance(outcome, Rejected) else None,
            "output": generation.text[:2_000] if rejected else "",
            "prompt_tokens": generation.prompt_tokens,
            "output_tokens": generation.output_tokens,
        }


def batches(entities: Sequence[Entity], size: int) -> list[pa.Table]:
    """Input tables of ProfileWriter: prompts of like length together, the longest first."""
    ordered = sorted(entities, key=lambda entity: (-len(entity.evidence.text), entity.entity_id))
    texts = [json.dumps(asdict(entity.evidence)) for entity in ordered]
    return [pa.table({"evidence": texts[at : at + size]}) for at in range(0, len(texts), size)]


def generate(
    entities: Sequence[Entity], kind: str, config: GeneratorConfig, vocabulary: frozenset[str]
) -> Iterator[pa.Table]:
    """Ask for all entities in an actor pool and yield tables of ANSWERS as they come, logging progress."""
    import ray

    from ray_tasks.ray_session import cpus_per_actor, ray_session, threads_per_actor

    tables = batches(entities, config.batch_size)
    if not tables:
        return
    if config.backend == "transformers":
        from ray_tasks.model_files import verify_model

        verify_model(config.path)  # the error is clearer from here than from an actor
    actors = min(config.actors, len(tables))
    arguments = {"kind": kind, "config": config, "vocabulary": vocabulary, "threads": threads_per_actor(actors)}
    with ray_session():
        answers = ray.data.from_arrow(tables).map_batches(
            ProfileWriter,
            batch_format="pyarrow",
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=cpus_per_actor(actors),
            fn_constructor_kwargs=arguments,
        )
        yield from _with_progress(
            answers.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0), len(entities), kind
        )


def _with_progress(tables: Iterable[Any], total: int, kind: str) -> Iterator[pa.Table]:
    """Pass tables on; log done, rate and time left every PROGRESS_SECONDS."""
    started = told = time.monotonic()
    done = tokens = 0
    log.info("%s profiles: asking the model for %s", kind, f"{total:,}")
    for table in tables:
        done += table.num_rows
        tokens += sum(table["prompt_tokens"].to_pylist()) + sum(table["output_tokens"].to_pylist())
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS or done == total:
            seconds, told = now - started, now
            left = seconds / done * (total - done)
            log.info("%s profiles: %d / %d, %.0f tokens/s, %.0f s left", kind, done, total, tokens / seconds, left)
        yield table


def _from_json(text: str) -> Evidence:
    fields = json.loads(text)
    for name in ("lines", "facts", "item_ids"):
        fields[name] = tuple(fields[name])
    return Evidence(**fields)
