"""The transformer block of the models that read histories: each place sees itself and what came before it."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PARTS = 256
"""Shares of dropout are told in so many parts: a byte decides."""


def counted_back(asked: "Tensor", n: int) -> "Tensor":
    """(users, n): how far before each user's place that is asked at, (users,), the n places lie; 0 for what follows it.

    What comes after a history is asked at its end: counted so, that is one place, whatever the length, and what it has
    learnt comes from the ends of histories.
    """
    import torch

    return (asked[:, None] - torch.arange(n)).clamp(min=0)


def make_block(width: int, heads: int, inner: int, dropout: float) -> Any:
    """Attention and a perceptron with `inner` units, each normalised first (Xiong et al. 2020).

    From (users, beams, n, width) and a past, see `attention`, to the same and the beams' own keys and values by now.
    """
    import torch
    from torch import nn

    class Block(nn.Module):
        """See make_block."""

        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
            self.split, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.perceptron = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
            self.dropout = make_dropout(dropout)

        def forward(self, x: "Tensor", past: Any = None) -> tuple["Tensor", Any]:
            parts = self.split(self.norms[0](x)).unflatten(-1, (3, heads, -1)).transpose(2, 4)
            query, key, value = parts.unbind(3)
            if past is not None and past.own is not None:
                key, value = (torch.cat(pair, dim=-2) for pair in zip(past.own, (key, value), strict=True))
            mixed = attention(query, key, value, past).transpose(2, 3).flatten(3)
            x = x + self.dropout(self.merge(mixed))
            return x + self.dropout(self.perceptron(self.norms[1](x))), (key, value)

    return Block()


def make_dropout(share: float) -> Any:
    """Dropout that draws a byte per number: torch's own draws are a quarter of what a small model's step takes."""
    import torch
    from torch import nn

    class Dropout(nn.Module):
        """See make_dropout."""

        def forward(self, x: "Tensor") -> "Tensor":
            absent = round(share * PARTS)
            if not self.training or not absent:
                return x
            drawn = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
            kept = drawn.view(torch.uint8)[: x.numel()].view(x.shape) >= absent
            return x * kept * (PARTS / (PARTS - absent))

    return Dropout()


@dataclass(frozen=True)
class Past:
    """What a block has seen before.

    `shared`: keys and values (users, heads, m, size) that all beams of a user share, `real` (users, m) which of the m
    are real; `own`: each beam's keys and values (users, beams, heads, l, size) since then, None where it has none yet.
    """

    shared: tuple["Tensor", "Tensor"]
    real: "Tensor"
    own: tuple["Tensor", "Tensor"] | None = None


def attention(query: "Tensor", key: "Tensor", value: "Tensor", past: Past | None) -> "Tensor":
    """Causal attention of the n latest of l places, (users, beams, heads, n or l, size), and to what beams share."""
    import torch

    if past is None:  # torch has a fast kernel for four dimensions only
        shape = query.shape[:2]
        query, key, value = (one.flatten(0, 1) for one in (query, key, value))
        mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return mixed.unflatten(0, shape)
    keys, values = past.shared
    n, long = query.shape[-2], key.shape[-2]
    near = (query @ key.mT).masked_fill(~torch.ones(n, long, dtype=torch.bool).tril(long - n), -math.inf)
    far = torch.einsum("ubhqe,uhke->ubhqk", query, keys).masked_fill(~past.real[:, None, None, None], -math.inf)
    weights = (torch.cat([far, near], dim=-1) / math.sqrt(query.shape[-1])).softmax(dim=-1)
    return torch.einsum("ubhqk,uhke->ubhqe", weights[..., :-long], values) + weights[..., -long:] @ value
