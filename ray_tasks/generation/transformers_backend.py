"""A causal language model through transformers, decoding many prompts after shared examples.

The examples are read once per process. Prompts are served from a queue: each step runs one forward pass over the new
tokens of all rows, whether prompt or answer; a finished row leaves and the next prompt takes its slot; tokens that
the grammar forces are read together with the one that forced them.
"""

import logging
import re
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ray_tasks.generation import packed_attention
from ray_tasks.generation.constraint import Constraint, allowed_tokens
from ray_tasks.generation.packed_attention import Packing, RowCache
from ray_tasks.generation.protocol import Generation, Request, TokenCounter
from ray_tasks.model_files import verify_model
from schemas.errors import ModelError
from schemas.generation_config import Generator as GeneratorConfig

log = logging.getLogger("nightrec.generation")

LOOP = 12
"""So many tokens with at most three different ones among them are a loop: the row ends."""


def token_counter(folder: str) -> TokenCounter:
    """Count tokens with the model's tokenizer alone, which loads in a fraction of a second."""
    from tokenizers import Tokenizer

    from ray_tasks.model_files import model_revision

    model_revision(folder)  # says what is wrong when the folder is not there
    try:
        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    except Exception as error:
        raise ModelError(f"cannot load the tokenizer in {folder}: {error}. Run `make assets`.") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


@dataclass
class _Row:
    """A request under way: its place among the requests, tokens to read next, tokens written."""

    number: int
    request: Request
    prompt: list[int]
    constraint: Constraint
    chance: Any = None
    due: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    length: int = 0
    slot: int = -1


class TransformersGenerator:
    """Loads safetensors from a folder and completes prompts greedily, or by sampling where a request has a seed."""

    def __init__(self, config: GeneratorConfig, examples: str, threads: int) -> None:
        """Verify and load the model, and read the examples. Raises ModelError when files are not in order."""
        import llguidance.hf
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        verify_model(config.path)
        torch.set_num_threads(threads)
        packed_attention.register()
        self._config, self._threads = config, threads
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(config.path, local_files_only=True)
            self._model: Any = AutoModelForCausalLM.from_pretrained(
                config.path,
                use_safetensors=True,
                local_files_only=True,
                dtype=getattr(torch, config.precision),
                attn_implementation=packed_attention.NAME,
            ).eval()
        except Exception as error:
            raise ModelError(f"cannot load the model in {config.path}: {error}. Run `make assets`.") from error
        self._model.to("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer: Any = tokenizer
        self._grammar_tokens: Any = llguidance.hf.from_tokenizer(tokenizer)
        self._decode = cache(lambda token: str(self._tokenizer.decode([token])))
        self._single_tokens = cache(self._find_single_tokens)
        self._prefix = self._read_examples(self._ids(examples))

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Complete all requests, batch_size of them at a time, long prompts first.

        Runs out of memory with fewer rows at a time until one is too many for a single one.
        """
        import torch

        done: dict[int, Generation] = {}
        slots = self._config.batch_size
        while len(done) < len(requests):
            waiting = [number for number in range(len(requests)) if number not in done]
            try:
                with torch.inference_mode():
                    self._serve([(number, requests[number]) for number in waiting], slots, done)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_memory(error):
                    raise
                log.warning("out of memory with %d prompts at a time: %s", slots, error)
                if slots == 1:
                    number = next(number for number in waiting if number not in done)
                    done[number] = Generation("", 0, 0, "out_of_memory")
                slots = max(1, slots // 2)
        return [done[number] for number in range(len(requests))]

    def _serve(self, requests: Sequence[tuple[int, Request]], slots: int, done: dict[int, Generation]) -> None:
        """Decode requests until none is left; finished ones appear in `done` at once."""
        with ThreadPoolExecutor(self._threads) as threads:  # a grammar takes tens of milliseconds outside Python's lock
            begun = threads.map(lambda one: self._begin(one[0], one[1], done), requests)
            ready = [row for row in begun if row]
        if not ready:
            return
        queue = deque(sorted(ready, key=lambda row: (-len(row.prompt), row.number)))
        longest = len(queue[0].prompt) + self._config.max_new_tokens + 1
        rows = RowCache(self._model, min(slots, len(queue)), longest, self._prefix)
        free = list(range(min(slots, len(queue))))
        alive: list[_Row] = []
        while alive or queue:
            while free and queue:
                row = queue.popleft()
                row.slot, row.due = free.pop(), row.prompt
                alive.append(row)
            self._step(alive, rows)
            for row in [row for row in alive if self._is_finished(row)]:
                done[row.number] = self._generation(row)
                alive.remove(row)
                free.append(row.slot)

    def _begin(self, number: int, request: Request, done: dict[int, Generation]) -> _Row | None:
        """A row for a request, or its failure in `done`."""
        import torch

        prompt = self._ids(request.text)
        limit = getattr(self._model.config, "max_position_embeddings", 10**9)
        if self._prefix.length + len(prompt) + self._config.max_new_tokens > limit:
            done[number] = Generation("", 0, 0, "too_long_prompt")
            return None
        banned = tuple(token for word in sorted(request.avoid) for token in self._single_tokens(word))
        try:
            constraint = Constraint(self._grammar_tokens, request.schema, banned, self._decode)
        except ValueError as error:
            log.warning("no grammar for a request: %s", error)
            done[number] = Generation("", 0, 0, "failed")
            return None
        chance = None if request.seed is None else torch.Generator().manual_seed(request.seed)
        return _Row(number, request, prompt, constraint, chance)

    def _step(self, alive: list[_Row], rows: RowCache) -> None:
        """One forward pass over the tokens that are due, and one chosen token (with those it forces) for each row."""
        import torch

        slots = [row.slot for row in alive for _ in row.due]
        places = [row.length + at for row in alive for at in range(len(row.due))]
        packing = Packing.of(rows, slots, places)
        tokens = torch.tensor([[token for row in alive for token in row.due]], device=self._model.device)
        last = torch.tensor([len(row.due) for row in alive], device=self._model.device).cumsum(0) - 1
        logits = self._model(
            tokens, position_ids=packing.positions, use_cache=False, logits_to_keep=last, packing=packing
        ).logits[0]
        chosen = self._choose(logits.float(), alive)
        for row, token in zip(alive, chosen, strict=True):
            row.length += len(row.due)
            row.due = [token, *row.constraint.accept(token)]
            row.written += row.due

    def _choose(self, logits: Any, alive: list[_Row]) -> list[int]:
        """The next token of each row: the likeliest that is allowed, or a sampled one."""
        import torch

        allowed = allowed_tokens([row.constraint for row in alive], logits.shape[1]).to(logits.device)
        logits.masked_fill_(~allowed, float("-inf"))
        preferred = logits.clone()
        refused = [(place, token) for place, row in enumerate(alive) for token in row.constraint.refused()]
        preferred[tuple(torch.tensor(refused, dtype=torch.long, device=logits.device).view(-1, 2).T)] = float("-inf")
        stuck = preferred.max(-1).values == float("-inf")
        preferred[stuck] = logits[stuck]
        likeliest = preferred.argmax(-1).tolist()
        temperature = self._config.temperature
        return [
            likeliest[place]
            if row.chance is None
            else int(
                torch.multinomial(torch.softmax(preferred[place].cpu() / temperature, -1), 1, generator=row.chance)
            )
            for place, row in enumerate(alive)
        ]

    def _is_finished(self, row: _Row) -> bool:
        """The schema is satisfied, or the text ends, loops, or is as long as it may be."""
        if row.constraint.is_complete or len(row.written) >= self._config.max_new_tokens:
            return True
        if row.request.schema:
            return False
        if row.written[-1] == self._tokenizer.eos_token_id or len(set(row.written[-LOOP:])) <= min(
            3, len(row.written) - LOOP + 3
        ):
            return True
        return "\n\n" in self._tokenizer.decode(row.written)

    def _generation(self, row: _Row) -> Generation:
        text = str(self._tokenizer.decode(row.written, skip_special_tokens=True))
        if row.request.schema:
            error = None if row.constraint.is_complete else "truncated"
            return Generation(text, len(row.prompt), len(row.written), error)
        return Generation(text.split("\n\n", 1)[0], len(row.prompt), len(row.written))

    def _read_examples(self, ids: list[int]) -> RowCache:
        """Keys and values of the shared prefix."""
        import torch

        rows = RowCache(self._model, 1, len(ids))
        packing = Packing.of(rows, [0] * len(ids), list(range(len(ids))))
        with torch.inference_mode():
            self._model(
                torch.tensor([ids], device=self._model.device),
                position_ids=packing.positions,
                use_cache=False,
                logits_to_keep=1,
                packing=packing,
            )
        return rows

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _find_single_tokens(self, word: str) -> list[int]:
        """Tokens that are the whole word; the first token of a longer word may begin a harmless one."""
        forms = {f"{blank}{form}" for blank in ("", " ") for form in (word, word.capitalize())}
        return [ids[0] for form in sorted(forms) if len(ids := self._ids(form)) == 1]


def _is_memory(error: BaseException) -> bool:
    """Whether there is too little; an illegal access to it is another matter."""
    too_little = r"out of memory|allocate memory|not enough memory|DefaultCPUAllocator"
    return not isinstance(error, RuntimeError) or bool(re.search(too_little, str(error)))
