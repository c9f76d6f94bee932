"""Candidate source `generative`: a transformer writes the semantic id of the next item, code by code.

TIGER (Rajput et al. 2023) with a decoder only, over the ids of the latest items. The codes are drawn from what the
prefix tree of the catalogue allows, in training as in beam search, so that the chances of all items add up to 1. As in
LETTER (Wang et al. 2024), ids may rest on who takes an item beside what it says.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, Rows, Scores, ends, steady
from ray_tasks.retrieval.causal import Past, counted_back, make_block, make_dropout
from ray_tasks.retrieval.collaborative import collaborative_vectors
from ray_tasks.retrieval.semantic_ids import Trie, semantic_ids
from ray_tasks.retrieval.sequence import batches, sequences
from ray_tasks.retrieval.text_similarity import Vectors
from ray_tasks.retrieval.training import Schedule, passes, reproducible, train

if TYPE_CHECKING:
    from torch import Tensor

SCORED_TOGETHER = 64
"""Users scored in one pass, always of this shape: what a user gets must not depend on who else is asked about."""
DIGITS = 4
"""Decimals of log-chances that beams are compared by; ties by id."""
NEVER = -1e6


@dataclass(frozen=True)
class GenerativeSettings:
    """Ids, sizes and training.

    `levels`, `codes`, `balanced`: see semantic_ids; `collaborative`: weight beside the text of who takes an item,
    0 for text alone; `longest`: latest history items read; `beams`: items found per user; `epochs`: passes over the
    log, fewer where they would take more than `most_tokens` codes; `batch_tokens`: codes per step.
    """

    levels: int = 3
    codes: int | None = None
    balanced: bool = True
    collaborative: float = 0.0
    width: int = 64
    layers: int = 2
    heads: int = 2
    longest: int = 20
    dropout: float = 0.2
    beams: int = 128
    epochs: int = 30
    most_tokens: int = 12_000_000
    batch_tokens: int = 8_192
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2


@dataclass(frozen=True)
class GenerativeSource:
    """A fitted decoder: its `weights` by name and the prefix tree of the items' ids."""

    weights: dict[str, NDArray[Any]]
    trie: Trie
    settings: GenerativeSettings

    def score(self, history: Rows) -> Scores:
        """See CandidateSource: the chance to be next of the items that beam search finds, NaN for all others.

        NaN throughout for users without an item that has an id.
        """
        known = self.trie.known
        latest = [h[known[h]][: self.settings.longest] for h in map(history.__getitem__, range(len(history)))]
        asked = np.flatnonzero([len(h) > 0 for h in latest])
        scores: Scores = np.full((len(history), len(known)), np.nan, dtype=np.float32)
        for start in range(0, len(asked), SCORED_TOGETHER):
            rows = asked[start : start + SCORED_TOGETHER]
            leaves, log_chances = self._search([latest[row] for row in rows])
            row, beam = np.nonzero(log_chances[: len(rows)] > NEVER / 2)
            chances = steady(np.exp(np.maximum(log_chances[row, beam], -80.0)))
            scores[rows[row], self.trie.items[leaves[row, beam]]] = chances
        return scores

    def __getstate__(self) -> dict[str, Any]:
        """Without the decoder at hand, which is made again from the weights."""
        return {name: value for name, value in self.__dict__.items() if name != "_decoder"}

    def _search(self, latest: list[Ints]) -> tuple[Ints, NDArray[np.float64]]:
        """Leaves of the tree and their log-chances, (users, beams) each, for histories with the most recent first."""
        import torch

        items, lengths = np.zeros((SCORED_TOGETHER, self.settings.longest), np.int64), np.ones(SCORED_TOGETHER, int)
        for row, history in enumerate(latest):
            items[row, : len(history)], lengths[row] = history[::-1], len(history)
        with reproducible(0), torch.inference_mode():
            leaves, total = beam_search(self._decoder, self.trie, items, torch.from_numpy(lengths), self.settings.beams)
        return leaves.numpy(), total.numpy()

    @cached_property
    def _decoder(self) -> Any:
        import torch

        decoder = make_decoder(self.trie, self.settings)
        decoder.load_state_dict({name: torch.tensor(values) for name, values in self.weights.items()})
        return decoder.eval()


def fit_generative(histories: Rows, vectors: Vectors, settings: GenerativeSettings, seed: int) -> GenerativeSource:
    """Train on everybody's history; `vectors` (items, dimensions) are unit text vectors, zeros for no text.

    Items without text have no id, hence no score, and are passed over in histories.
    """
    meaning = fused(vectors, histories, settings.collaborative)
    trie = Trie(semantic_ids(meaning, settings.levels, settings.codes, settings.balanced, seed))
    kept = trie.known[histories.items]
    pieces = sequences(Rows.of(histories.row_of[kept], histories.items[kept], len(histories)), settings.longest + 1)
    with reproducible(seed):
        decoder = make_decoder(trie, settings)
        _train(decoder, trie, pieces, settings, np.random.default_rng(seed))
        weights = {name: values.numpy() for name, values in decoder.state_dict().items()}
        return GenerativeSource(weights, trie, settings)


def fused(vectors: Vectors, histories: Rows, weight: float, dimensions: int = 32, shrinkage: float = 5) -> Vectors:
    """Text vectors beside collaborative ones times `weight`, the less is known of an item the more as its text says.

    Texts predict collaborative vectors by ridge regression. Items without text keep zeros.
    """
    if not weight:
        return vectors
    taken = collaborative_vectors(histories, len(vectors), dimensions, shrinkage)
    strength = np.linalg.norm(taken, axis=1, keepdims=True)
    weighted = (vectors * strength).astype(np.float64)
    ridge = weighted.T @ weighted + np.eye(vectors.shape[1])
    predicted = vectors @ np.linalg.solve(ridge, weighted.T @ taken)
    both = np.hstack([vectors, weight * (taken + (1 - strength) * predicted)])
    return np.where(vectors.any(axis=1, keepdims=True), np.round(both, 6), 0).astype(np.float32)


def make_decoder(trie: Trie, settings: GenerativeSettings) -> Any:
    """A causal transformer over the codes of items, oldest first; each code stands at the place of its item."""
    import torch
    from torch import nn

    starts = torch.from_numpy(ends(np.array(trie.sizes)))
    allowed = [torch.from_numpy(table >= 0) for table in trie.children]

    class Decoder(nn.Module):
        """Codes (users, beams, n) and their items' places to what is said of the next; and the blocks' keys and values.

        `past` is told for each block, `level` is the first code's.

        Places are counted back from the item that is written, which is at 0, as its history is always asked.
        """

        def __init__(self) -> None:
            super().__init__()
            self.codes = nn.Parameter(torch.randn(int(starts[-1]), settings.width) * 0.02)
            self.bias = nn.Parameter(torch.zeros(int(starts[-1])))
            self.places = nn.Parameter(torch.randn(settings.longest + 1, settings.width) * 0.02)
            sizes = settings.width, settings.heads, 4 * settings.width, settings.dropout
            self.blocks = nn.ModuleList([make_block(*sizes) for _ in range(settings.layers)])
            self.norm, self.dropout = nn.LayerNorm(settings.width), make_dropout(settings.dropout)

        def forward(
            self, codes: "Tensor", places: "Tensor", past: Sequence[Past] | None = None, level: int = 0
        ) -> tuple["Tensor", Any]:
            levels = (level + torch.arange(codes.shape[-1])) % trie.depth
            x = self.codes[codes + starts[levels]] * math.sqrt(settings.width) + self.places[places]
            x, kept = self.dropout(x), []
            for at, block in enumerate(self.blocks):
                x, own = block(x, past and past[at])
                kept.append(own)
            return self.norm(x), kept

        def log_chances(self, hidden: "Tensor", level: int, nodes: "Tensor") -> "Tensor":
            """Of each code to come next below these nodes: (..., codes of the level), -inf where there is none."""
            own = slice(int(starts[level]), int(starts[level + 1]))
            logits = hidden @ self.codes[own].T + self.bias[own]
            return logits.masked_fill(~allowed[level][nodes], -math.inf).log_softmax(dim=-1)

    return Decoder()


def beam_search(decoder: Any, trie: Trie, items: Ints, lengths: "Tensor", beams: int) -> tuple["Tensor", "Tensor"]:
    """Leaves and log-chances of each user's best ids, (users, beams), after `items` (users, n), oldest first.

    `lengths` says how many of the n are real. A log-chance of NEVER stands for no id.
    """
    import torch

    users, depth = len(items), trie.depth
    places = counted_back(lengths, items.shape[1]).repeat_interleave(depth, dim=1)
    codes = torch.from_numpy(np.maximum(trie.codes[items], 0).reshape(users, 1, -1))
    hidden, kept = decoder(codes, places[:, None])
    user, real = torch.arange(users), torch.arange(codes.shape[2]) < depth * lengths[:, None]
    past = [Past((keys[:, 0], values[:, 0]), real) for keys, values in kept]
    hidden = hidden[user, :, depth * lengths - 1]
    nodes, total = torch.zeros(users, 1, dtype=torch.long), torch.zeros(users, 1, dtype=torch.float64)
    for level in range(depth):
        chances = total[:, :, None] + decoder.log_chances(hidden, level, nodes)
        total, chosen = _best(chances.flatten(1), beams)
        beam, code = chosen // chances.shape[2], chosen % chances.shape[2]
        nodes = torch.from_numpy(trie.children[level])[nodes.gather(1, beam), code].clamp(min=0)
        if level + 1 < depth:
            if level:
                own = [(keys[user[:, None], beam], values[user[:, None], beam]) for keys, values in kept]
                past = [replace(one, own=pair) for one, pair in zip(past, own, strict=True)]
            written = code[:, :, None]
            hidden, kept = decoder(written, torch.zeros_like(written), past, level)
            hidden = hidden[:, :, 0]
    return nodes, total


def _best(chances: "Tensor", beams: int) -> tuple["Tensor", "Tensor"]:
    """The best of each row, rounded, and where they stand: one whole number says the value and, for ties, the place."""
    import torch

    n, scale = chances.shape[1], 10**DIGITS
    keys = (chances.clamp(min=NEVER) * scale).round().long() * n - torch.arange(n)
    best = keys.topk(min(beams, n), dim=1).values
    place = -best % n
    return (best + place) // n / scale, place


def _train(
    decoder: Any, trie: Trie, pieces: list[Ints], settings: GenerativeSettings, chance: np.random.Generator
) -> None:
    items = sum(map(len, pieces))
    if not items:
        return
    epochs = passes(settings.epochs, settings.most_tokens, items * trie.depth)
    together = max(1, settings.batch_tokens // trie.depth)
    steps = sum(1 for _ in batches(pieces, together, np.random.default_rng(0)))
    decoder.train()
    train(
        "generative",
        list(decoder.parameters()),
        Schedule(epochs, steps, settings.learning_rate, settings.weight_decay),
        lambda: batches(pieces, together, chance),
        lambda batch: _loss(decoder, trie, batch),
    )
    decoder.eval()


def _loss(decoder: Any, trie: Trie, batch: list[Ints]) -> "Tensor":
    """Cross-entropy of the id of each item but the first, in nats per item."""
    import torch

    longest = max(map(len, batch))
    items, real = np.full((len(batch), longest), batch[0][0]), np.zeros((len(batch), longest - 1), bool)
    for row, piece in enumerate(batch):
        items[row, : len(piece)], real[row, : len(piece) - 1] = piece, True
    codes, nodes = torch.from_numpy(trie.codes[items]), torch.from_numpy(trie.nodes[items[:, 1:][real]])
    last = torch.tensor([len(piece) - 1 for piece in batch])
    places = counted_back(last, longest).repeat_interleave(trie.depth, dim=1)
    hidden = decoder(codes.flatten(1)[:, None], places[:, None])[0]
    hidden, wanted = hidden.view(*codes.shape, -1), codes[:, 1:][torch.from_numpy(real)]
    asked = torch.cat([hidden[:, :-1, -1:], hidden[:, 1:, :-1]], dim=2)[torch.from_numpy(real)]
    parts = [
        decoder.log_chances(asked[:, level], level, nodes[:, level]).gather(1, wanted[:, level : level + 1])
        for level in range(trie.depth)
    ]
    return -torch.cat(parts, dim=1).sum(dim=1).mean()
