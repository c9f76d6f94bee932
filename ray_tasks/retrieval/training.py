"""How the learnt sources are trained: the same numbers every time, with progress in the log."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_tasks.interactions.rows import Ints

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("nightrec.candidates")


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Torch seeded and on one thread: sums depend on how many threads share them, and must not."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Schedule:
    """Passes over the data, steps of each, and AdamW's rates: up over the first twentieth, down to 0 by a cosine."""

    epochs: int
    steps: int
    learning_rate: float
    weight_decay: float

    def share(self, step: int) -> float:
        """Share of the learning rate at a step."""
        total = max(1, self.epochs * self.steps)
        return min((step + 1) / max(1, total // 20), 0.5 * (1 + math.cos(math.pi * step / total)))


def passes(most: int, most_tokens: int, tokens: int) -> int:
    """Passes over a log of so many tokens: `most`, or as many as the budget of tokens allows, but at least one."""
    return min(most, max(1, most_tokens // max(tokens, 1)))


def train(
    name: str,
    parameters: Sequence["Tensor"],
    schedule: Schedule,
    batches: Callable[[], Iterable[Any]],
    loss_of: Callable[[Any], "Tensor"],
) -> None:
    """Minimise the loss of the batches. Vectors (biases, norms) are not decayed; gradients are cut at length 1."""
    import torch

    decayed, plain = ([p for p in parameters if (p.dim() > 1) == matrix] for matrix in (True, False))
    groups = [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.share)
    started = time.monotonic()
    for epoch in range(1, schedule.epochs + 1):
        losses = []
        for batch in batches():
            loss = loss_of(batch)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            rates.step()
            losses.append(float(loss.detach()))
        left = (time.monotonic() - started) / epoch * (schedule.epochs - epoch)
        log.info("%s: epoch %d of %d, loss %.3f, %.0f s left", name, epoch, schedule.epochs, np.mean(losses), left)


@dataclass(frozen=True)
class Negatives:
    """Items drawn by a power of how often they were taken, and the log of each one's chance."""

    cumulated: Any
    log_chance: Any

    @classmethod
    def by(cls, counts: Ints, power: float) -> "Negatives":
        """Items that nobody took are never drawn."""
        weights = np.where(counts > 0, counts, 0.0) ** power * (counts > 0)
        chances = weights / max(weights.sum(), 1e-12)
        return cls(np.cumsum(chances), np.log(np.maximum(chances, 1e-12)).astype(np.float32))

    def draw(self, n: int, chance: np.random.Generator) -> Ints:
        """n of them, with repetition."""
        return np.minimum(np.searchsorted(self.cumulated, chance.random(n)), len(self.cumulated) - 1)


def sampled_softmax(positive: "Tensor", others: "Tensor", same: Any) -> "Tensor":
    """Mean cross-entropy of each positive (rows,) against shared negatives (rows, n); `same` marks its own item."""
    import torch

    others = others.masked_fill(same, -1e9)
    return (torch.logsumexp(torch.column_stack([positive, others]), dim=1) - positive).mean()
