"""Candidate sources `sequence` and `sequence_text`: a self-attentive model of what is taken next.

SASRec (Kang & McAuley 2018) with a sampled softmax, shared negatives and the correction for how often an item is drawn
(Yi et al. 2019; as gSASRec, Petrov & Macdonald 2023, it does not trust few uniform negatives). An item is its own
vector plus, for `sequence_text`, a projection of its text, which alone stands for items that nobody took yet.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.rows import Ints, Rows, Scores, plain_product, steady
from ray_tasks.retrieval.causal import counted_back, make_block, make_dropout
from ray_tasks.retrieval.text_similarity import Vectors
from ray_tasks.retrieval.training import Negatives, Schedule, passes, reproducible, sampled_softmax, train

if TYPE_CHECKING:
    from torch import Tensor

OFTEN = 50
"""Events per item up to which a model needs all of its dropout; the more there are, the less is there to hold back."""
WIDTHS = (8, 24)
"""Places for histories of at most so many items; longer ones get `longest`."""
READ_TOGETHER = 2_048
"""Places that are read in one pass."""


@dataclass(frozen=True)
class SequenceSettings:
    """Sizes and training.

    `longest`: latest history items read; `epochs`: passes over the log, fewer where they would take more than
    `most_tokens` history items; `batch_tokens`: history items per step; `dropout` is that of a log with OFTEN events
    per item or fewer; `item_dropout`: share of training in which an item's own vector is left out, so that its text
    alone works too.
    """

    width: int = 96
    layers: int = 2
    heads: int = 2
    longest: int = 100
    dropout: float = 0.5
    item_dropout: float = 0.1
    epochs: int = 20
    most_tokens: int = 8_000_000
    batch_tokens: int = 512
    negatives: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4

    def on(self, tokens: int, items: int) -> "SequenceSettings":
        """For a log of so many events of so many items: passes within the budget, and less dropout if it is dense."""
        dropout = self.dropout * min(1.0, OFTEN * items / max(tokens, 1))
        return replace(self, epochs=passes(self.epochs, self.most_tokens, tokens), dropout=dropout)


@dataclass(frozen=True)
class SequenceSource:
    """A fitted model: `weights` of the encoder by name, `items` (items, width + 1) with each one's bias last.

    Items with neither interactions nor text are `unknown`.
    """

    weights: dict[str, NDArray[Any]]
    items: Vectors
    unknown: NDArray[np.bool_]
    settings: SequenceSettings

    def score(self, history: Rows) -> Scores:
        """See CandidateSource: the chance of each item to be next; NaN for users without a known item."""
        latest = [h[~self.unknown[h]][: self.settings.longest] for h in map(history.__getitem__, range(len(history)))]
        scores: Scores = np.full((len(history), len(self.items)), np.nan, dtype=np.float32)
        for width, rows in read_together(np.array([len(h) for h in latest]), self.settings.longest):
            tastes = self._tastes([latest[row] for row in rows], width)
            logits = plain_product(np.column_stack([tastes, np.ones(len(tastes), np.float32)]), self.items.T, 4)
            logits[:, self.unknown] = -np.inf
            chances = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
            scores[rows] = steady(chances / chances.sum(axis=1, keepdims=True))
        scores[:, self.unknown] = np.nan
        return scores

    def __getstate__(self) -> dict[str, Any]:
        """Without the encoder at hand, which is made again from the weights."""
        return {name: value for name, value in self.__dict__.items() if name != "_encoder"}

    def _tastes(self, latest: list[Ints], places: int) -> Vectors:
        """(users, width): what the encoder makes of histories of at most so many places, most recent item first."""
        import torch

        users = rows_of(places)
        ids, length = np.zeros((users, places), np.int64), np.ones(users, np.int64)
        for row, items in enumerate(latest):
            ids[row, : len(items)], length[row] = items[::-1], len(items)
        with torch.inference_mode():
            vectors = torch.from_numpy(self.items[ids][:, :, :-1].copy())
            last = torch.from_numpy(length) - 1
            hidden = self._encoder(vectors, last)[torch.arange(len(ids)), last]
        return np.asarray(np.round(hidden.numpy()[: len(latest)], 5))

    @cached_property
    def _encoder(self) -> Any:
        import torch

        encoder = make_encoder(self.settings)
        encoder.load_state_dict({name: torch.tensor(values) for name, values in self.weights.items()})
        return encoder.eval()


def read_together(lengths: Ints, longest: int) -> Iterator[tuple[int, Ints]]:
    """How many places histories get, and which ones are read in one pass; those without an item are left out.

    The shape of a pass hangs on a history's own length: what a user gets must not depend on who else is asked about.
    """
    shorter = 0
    for places in (*(width for width in WIDTHS if width < longest), longest):
        rows = np.flatnonzero((lengths > shorter) & (lengths <= places))
        for start in range(0, len(rows), rows_of(places)):
            yield places, rows[start : start + rows_of(places)]
        shorter = places


def rows_of(places: int) -> int:
    """Histories of so many places that are read in one pass."""
    return max(1, READ_TOGETHER // places)


def fit_sequence(
    histories: Rows, n_items: int, vectors: Vectors | None, settings: SequenceSettings, seed: int
) -> SequenceSource:
    """Train on everybody's history; `vectors` (items, dimensions) are unit text vectors, zeros for no text, or None."""
    counts = np.bincount(histories.items, minlength=n_items)
    pieces = sequences(histories, settings.longest + 1)
    settings = settings.on(sum(len(piece) - 1 for piece in pieces), int((counts > 0).sum()))
    with reproducible(seed):
        encoder, catalogue = make_encoder(settings), _Catalogue(counts, vectors, settings)
        _train(encoder, catalogue, pieces, settings, np.random.default_rng(seed))
        weights = {name: values.numpy() for name, values in encoder.state_dict().items()}
        has_text = vectors.any(axis=1) if vectors is not None else np.zeros(n_items, dtype=bool)
        return SequenceSource(weights, catalogue.frozen(), (counts == 0) & ~has_text, settings)


def sequences(histories: Rows, longest: int) -> list[Ints]:
    """Histories in the order of time, cut from the end into pieces of at most `longest` that share one item."""
    pieces = []
    for row in np.flatnonzero(histories.lengths > 1):
        items = histories[int(row)][::-1]
        ends = range(len(items), 1, 1 - longest)
        pieces += [items[max(0, end - longest) : end] for end in ends]
    return pieces


def batches(pieces: list[Ints], tokens: int, chance: np.random.Generator) -> Iterator[list[Ints]]:
    """The pieces in batches of like length with about so many history items each, in random order."""
    lengths = np.array([len(piece) for piece in pieces]) - 1
    order = np.lexsort((chance.random(len(pieces)), lengths))[::-1]
    ends, start = [0], 0
    while start < len(order):
        start += max(1, tokens // int(lengths[order[start]]))
        ends.append(min(start, len(order)))
    for at in chance.permutation(len(ends) - 1):
        yield [pieces[one] for one in order[ends[at] : ends[at + 1]]]


def make_encoder(settings: SequenceSettings) -> Any:
    """A module from vectors (users, places, width), oldest first, to what each place says of the next.

    Its second argument, (users,), is the place of each one's latest item; what follows it is padding.
    """
    import torch
    from torch import nn

    class Encoder(nn.Module):
        """Blocks of causal attention, normalised before each part; places are counted back from the latest item."""

        def __init__(self) -> None:
            super().__init__()
            self.places = nn.Parameter(torch.randn(settings.longest, settings.width) * 0.02)
            sizes = settings.width, settings.heads, 2 * settings.width, settings.dropout
            self.blocks = nn.ModuleList([make_block(*sizes) for _ in range(settings.layers)])
            self.norm = nn.LayerNorm(settings.width)
            self.dropout = make_dropout(settings.dropout)

        def forward(self, vectors: "Tensor", last: "Tensor") -> "Tensor":
            places = self.places[counted_back(last, vectors.shape[1])]
            hidden = self.dropout(vectors * math.sqrt(settings.width) + places)[:, None]
            for block in self.blocks:
                hidden, _ = block(hidden)
            found: Tensor = self.norm(hidden[:, 0])
            return found

    return Encoder()


class _Catalogue:
    """Vectors of items in training: their own, projected text, and bias; and how negatives are drawn."""

    def __init__(self, counts: Ints, vectors: Vectors | None, settings: SequenceSettings) -> None:
        import torch

        self.own = torch.nn.Parameter(torch.randn(len(counts), settings.width) * 0.02)
        self.bias = torch.nn.Parameter(torch.zeros(len(counts)))
        self.parameters = [self.own, self.bias]
        self.texts = None if vectors is None else torch.tensor(vectors)
        if self.texts is not None:
            self.turn = torch.nn.Parameter(torch.randn(self.texts.shape[1], settings.width) * 0.02)
            self.parameters.append(self.turn)
        self.taken = torch.from_numpy(counts > 0)
        self.dropout = settings.item_dropout if vectors is not None else 0.0
        self.negatives = Negatives.by(counts, 0.5)
        self.log_chance = torch.from_numpy(self.negatives.log_chance)

    def vectors(self, ids: "Tensor", train: bool) -> "Tensor":
        """Of some items; in training an item's own vector is left out now and then."""
        import torch

        own = self.own[ids]
        if train and self.dropout:
            own = own * (torch.rand(len(ids), 1) >= self.dropout)
        return own if self.texts is None else own + self.texts[ids] @ self.turn

    def frozen(self) -> Vectors:
        """All vectors and biases; what nobody took has its text alone."""
        import torch

        with torch.no_grad():
            self.own[~self.taken] = 0.0
            vectors = self.vectors(torch.arange(len(self.own)), train=False)
            return np.asarray(torch.column_stack([vectors, self.bias * self.taken]).numpy())


def _train(
    encoder: Any, catalogue: _Catalogue, pieces: list[Ints], settings: SequenceSettings, chance: np.random.Generator
) -> None:
    if not pieces:
        return
    steps = sum(1 for _ in batches(pieces, settings.batch_tokens, np.random.default_rng(0)))
    encoder.train()
    train(
        "sequence" if catalogue.texts is None else "sequence_text",
        [*encoder.parameters(), *catalogue.parameters],
        Schedule(settings.epochs, steps, settings.learning_rate, settings.weight_decay),
        lambda: batches(pieces, settings.batch_tokens, chance),
        lambda batch: _loss(encoder, catalogue, batch, catalogue.negatives.draw(settings.negatives, chance)),
    )
    encoder.eval()


def _loss(encoder: Any, catalogue: _Catalogue, batch: list[Ints], negatives: Ints) -> "Tensor":
    """Cross-entropy of each next item against shared negatives, each logit less the log-chance of being drawn."""
    import torch

    longest = max(map(len, batch)) - 1
    ids, real = np.zeros((len(batch), longest + 1), np.int64), np.zeros((len(batch), longest), bool)
    last = torch.tensor([len(piece) - 2 for piece in batch])
    for row, piece in enumerate(batch):
        ids[row, : len(piece)], real[row, : len(piece) - 1] = piece, True
    # Vectors are made once for each distinct item of the batch, not once for each of its places.
    distinct, place = np.unique(np.concatenate([ids.ravel(), negatives]), return_inverse=True)
    known, at = torch.from_numpy(distinct), torch.from_numpy(place[: ids.size].reshape(ids.shape))
    vectors = catalogue.vectors(known, train=True)
    offset = catalogue.bias[known] - catalogue.log_chance[known]
    drawn = torch.from_numpy(place[ids.size :])
    hidden = encoder(vectors[at[:, :-1]], last)[torch.from_numpy(real)]
    target = at[:, 1:][torch.from_numpy(real)]
    positive = (hidden * vectors[target]).sum(dim=1) + offset[target]
    return sampled_softmax(positive, hidden @ vectors[drawn].T + offset[drawn], target[:, None] == drawn[None, :])
