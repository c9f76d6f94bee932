"""LoRA (arXiv 2106.09685) on the default generator: small matrices beside attention and MLP, loss on answers only.

Weights stay in 32 bits; products run in bfloat16 where the CPU computes those natively, which is twice as fast.
"""

import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np

from ray_tasks.model_files import verify_model
from ray_tasks.tuning.batches import Batch, Example, encode, in_batches
from ray_tasks.tuning.pairs import Pair
from schemas.errors import ModelError
from schemas.generation_config import Tuning

log = logging.getLogger("nightrec.tuning")

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PROGRESS_SECONDS = 15
LOOKS, PATIENCE = 7, 3
"""Validations of a whole training, and how many in a row may bring nothing before it stops."""

WARM_UP = 0.05
"""Share of the training in which the learning rate rises."""


@dataclass(frozen=True)
class Point:
    """The training at one validation. Losses are means over examples, in nats per token."""

    step: int
    seconds: float
    tokens: int
    train_loss: float
    validation_loss: float


@dataclass(frozen=True)
class Adapter:
    """A trained adapter: the files of its folder, and how training went. `ended` is epochs, validation or time."""

    files: dict[str, bytes] = field(repr=False)
    curve: tuple[Point, ...]
    examples: int
    steps: int
    tokens: int
    seconds: float
    ended: str

    @property
    def best(self) -> Point:
        """The validation whose weights were kept."""
        return min(self.curve, key=lambda point: (point.validation_loss, point.step))


def train(
    folder: str,
    pairs: Sequence[Pair],
    instructions: dict[tuple[str, str], str],
    settings: Tuning,
    *,
    seed: int,
    threads: int,
) -> Adapter:
    """Train an adapter for the model in `folder` on the pairs of part `train`, stopping by those of `validation`.

    Raises ModelError when the model's files are not in order, or a part has no pair.
    """
    import torch
    from transformers import AutoTokenizer

    verify_model(folder)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    parts = {
        part: encode([pair for pair in pairs if pair.part == part], instructions, tokenizer)
        for part in ("train", "validation")
    }
    if empty := [part for part, examples in parts.items() if not examples]:
        raise ModelError(f"nothing to tune on: no pair in part {' and '.join(empty)}; publish a night with more items")
    model = _with_lora(folder, settings.rank)
    return _Training(model, parts["train"], parts["validation"], settings, np.random.default_rng(seed)).run()


def _with_lora(folder: str, rank: int) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    return get_peft_model(base, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=MODULES, task_type="CAUSAL_LM"))


class _Training:
    """One training from the first step to the best weights."""

    def __init__(
        self,
        model: Any,
        train: Sequence[Example],
        validation: Sequence[Example],
        settings: Tuning,
        rng: np.random.Generator,
    ) -> None:
        import torch

        self._model, self._train, self._settings, self._rng = model, train, settings, rng
        self._validation = list(in_batches(validation, settings.batch_tokens))
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=settings.learning_rate, weight_decay=0.01)
        self._steps = settings.epochs * sum(
            1 for _ in in_batches(train, settings.batch_tokens, np.random.default_rng(0))
        )
        self._curve: list[Point] = []
        self._best: list[Any] = []
        self._done = self._tokens = 0
        self._losses: list[float] = []
        self._started = time.monotonic()

    def run(self) -> Adapter:
        """Train until the epochs, the patience or the minutes are used up; the best weights count."""
        ended, told = "epochs", self._started
        for batch in self._batches():
            self._losses.append(self._step(batch))
            if (now := time.monotonic()) - told >= PROGRESS_SECONDS:
                told = now
                self._tell()
            if self._share() >= (len(self._curve) + 1) / LOOKS:
                self._look()
            if early := self._end():
                ended = early
                break
        if not self._curve or self._curve[-1].step != self._done:
            self._look()
        return self._adapter(ended)

    def _end(self) -> str | None:
        """Why to stop before the epochs are over: the last PATIENCE validations brought nothing, or time is up."""
        if self._curve and self._best_point() not in self._curve[-PATIENCE:]:
            return "validation"
        return "time" if self._done < self._steps and self._share() >= 1 else None

    def _batches(self) -> Any:
        for _ in range(self._settings.epochs):
            yield from in_batches(self._train, self._settings.batch_tokens, self._rng)

    def _share(self) -> float:
        """How much of the training is over: of its steps or of its minutes, whichever is more."""
        return max(self._done / self._steps, self._seconds() / (60 * self._settings.max_minutes))

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _step(self, batch: Batch) -> float:
        import torch

        rate = self._settings.learning_rate * schedule(self._share())
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss = answer_loss(self._model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._done += 1
        self._tokens += batch.ids.numel()
        return float(loss.detach())

    def _look(self) -> None:
        """Validate, and keep the weights if they are the best so far."""
        import torch

        with torch.inference_mode():
            losses = [(float(answer_loss(self._model, batch)), len(batch.ids)) for batch in self._validation]
        loss = sum(value * rows for value, rows in losses) / sum(rows for _, rows in losses)
        train, self._losses = float(np.mean(self._losses or [np.nan])), []
        self._curve.append(Point(self._done, round(self._seconds(), 1), self._tokens, round(train, 4), round(loss, 4)))
        if self._best_point() is self._curve[-1]:
            self._best = [weight.detach().clone() for weight in self._weights]
        log.info("tuning: step %d, loss %.3f, validation %.3f", self._done, train, loss)

    def _best_point(self) -> Point:
        return min(self._curve, key=lambda point: (point.validation_loss, point.step))

    def _tell(self) -> None:
        share, seconds = self._share(), self._seconds()
        rate, left = self._tokens / seconds, seconds / share - seconds
        told = (self._done, self._steps, self._losses[-1] if self._losses else float("nan"), rate, left)
        log.info("tuning: step %d / %d, loss %.3f, %.0f tokens/s, %.0f s left", *told)

    def _adapter(self, ended: str) -> Adapter:
        import torch

        with torch.no_grad():
            for weight, best in zip(self._weights, self._best, strict=True):
                weight.copy_(best)
        with tempfile.TemporaryDirectory() as folder:
            self._model.save_pretrained(folder)
            files = {
                path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.name != "README.md"
            }
        return Adapter(
            files, tuple(self._curve), len(self._train), self._done, self._tokens, round(self._seconds(), 1), ended
        )


def schedule(share: float) -> float:
    """Factor of the learning rate after a share of the training: a linear rise, then half a cosine down to 0."""
    if share < WARM_UP:
        return max(0.05, share / WARM_UP)
    return 0.5 * (1 + cos(pi * min(1.0, (share - WARM_UP) / (1 - WARM_UP))))


def answer_loss(model: Any, batch: Batch) -> Any:
    """Cross-entropy of the answers' tokens: the mean of each row, then over rows, so that short answers count fully.

    The vocabulary's logits, a fifth of the work, are computed for answers only. Padding at the right needs no mask
    under causal attention: nothing that counts can see it.
    """
    import torch

    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    before = batch.learned[:, 1:]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bfloat16()):
        hidden = base.model(input_ids=batch.ids[:, :-1], use_cache=False).last_hidden_state
        logits = base.lm_head(hidden[before])
    losses = torch.nn.functional.cross_entropy(logits.float(), batch.ids[:, 1:][before], reduction="none")
    rows = before.nonzero()[:, 0]
    sums = torch.zeros(len(batch.ids)).index_add(0, rows, losses)
    return (sums / before.sum(1)).mean()


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively."""
    import torch

    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch builds differ in what they can tell
    return any(getattr(torch.cpu, name)() for name in names if hasattr(torch.cpu, name))
