"""Candidate source `two_tower`: texts carried by experts into the collaborative space, where new items have a place.

A mixture-of-experts adaptor turns text vectors (UniSRec, Hou et al. 2022; KAR, Xi et al. 2023). What is known by
interactions is added as far as there are any, and left out at random in training, so that the text works alone too
(DropoutNet, Volkovs et al. 2017).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ray_tasks.interactions.rows import Ints, Rows, Scores, ends, plain_product, steady
from ray_tasks.retrieval.collaborative import collaborative_vectors, unit
from ray_tasks.retrieval.text_similarity import Vectors
from ray_tasks.retrieval.training import Negatives, Schedule, reproducible, sampled_softmax, train

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TwoTowerSettings:
    """Sizes and training of the towers.

    `longest`: history items read in training; `shrinkage`: interactions at which an item's collaborative vector gets
    half its weight; `dropout`: share of training in which it is left out; `most_pairs`: training pairs (history, next)
    kept, each user's latest first; `temperature`: that cosines are divided by.
    """

    dimensions: int = 64
    experts: int = 4
    longest: int = 50
    shrinkage: float = 5
    dropout: float = 0.3
    epochs: int = 6
    batch: int = 1_024
    negatives: int = 2_048
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    temperature: float = 0.08
    most_pairs: int = 300_000


@dataclass(frozen=True)
class Tower:
    """Adaptor of text plus projection of a collaborative vector, into a space of `dimensions`.

    `experts` (texts, experts * dimensions) with `offsets` (experts, dimensions) turn the text; `gate` (texts, experts)
    says how much each expert counts; `projection` is (collaborative, dimensions).
    """

    experts: Vectors
    offsets: Vectors
    gate: Vectors
    projection: Vectors

    def place(self, texts: Vectors, collaborative: Vectors) -> Vectors:
        """Unit vectors (rows, dimensions); rows of zeros stand for what is not known."""
        chances = np.exp(texts @ self.gate)
        chances /= chances.sum(axis=1, keepdims=True)
        turned = (texts @ self.experts).reshape(len(texts), *self.offsets.shape) + self.offsets
        mixed = np.einsum("re,red->rd", chances, turned)
        return unit(mixed + collaborative @ self.projection)


@dataclass(frozen=True)
class TwoTowerSource:
    """Fitted towers: `places` (items, dimensions), their `bias`, and what users are placed by.

    `vectors` are the items' unit text vectors, `collaborative` their shrunken collaborative ones, zeros if unknown.
    """

    users: Tower
    places: Vectors
    bias: Vectors
    vectors: Vectors
    collaborative: Vectors
    temperature: float
    half_life: float

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Items with neither text nor interactions."""
        return np.asarray(~(self.vectors.any(axis=1) | self.collaborative.any(axis=1)))

    def score(self, history: Rows) -> Scores:
        """See CandidateSource: NaN for users without a known item and for items without text and interactions."""
        texts, collaborative = means(history.weighted(len(self.places), self.half_life), self)
        return self._scores(texts, collaborative)

    def score_texts(self, vectors: Vectors) -> Scores:
        """Scores for new users by unit vectors (users, dimensions) of what they say they like; NaN for zeros."""
        return self._scores(vectors, np.zeros((len(vectors), self.collaborative.shape[1]), dtype=np.float32))

    def _scores(self, texts: Vectors, collaborative: Vectors) -> Scores:
        tastes = self.users.place(texts, collaborative) / self.temperature
        logits = plain_product(tastes.astype(np.float32), self.places.T, 4) + self.bias
        scores = steady(np.exp(np.clip(logits - 1 / self.temperature, -60, 60)))
        scores[:, self.unknown] = np.nan
        scores[~(texts.any(axis=1) | collaborative.any(axis=1))] = np.nan
        return scores


def means(weights: "csr_matrix[Any]", items: Any) -> tuple[Vectors, Vectors]:
    """Of each history the unit mean of the texts and the mean of the collaborative vectors."""
    total = np.maximum(np.asarray(weights.sum(axis=1)), np.float32(1e-9))
    return unit(weights @ items.vectors), np.asarray((weights @ items.collaborative) / total, dtype=np.float32)


def fit_two_tower(
    histories: Rows, vectors: Vectors, half_life: float, settings: TwoTowerSettings, seed: int
) -> TwoTowerSource:
    """Train on everybody's history; `vectors` (items, dimensions) are unit text vectors, zeros for no text."""
    collaborative = collaborative_vectors(histories, len(vectors), settings.dimensions, settings.shrinkage)
    pairs, chance = Pairs(histories, half_life, settings), np.random.default_rng(seed)
    with reproducible(seed):
        model = _Model(histories, vectors, collaborative, settings)
        rows = pairs.rows()
        steps = -(-len(rows) // settings.batch)
        train(
            "two_tower",
            model.parameters(),
            Schedule(settings.epochs if steps else 0, steps, settings.learning_rate, settings.weight_decay),
            lambda: pairs.batches(rows, chance),
            lambda batch: model.loss(batch, pairs, chance),
        )
        places, bias = model.places()
    users = model.tower("users")
    return TwoTowerSource(users, places, bias, vectors, collaborative, settings.temperature, half_life)


@dataclass(frozen=True)
class Pairs:
    """Training pairs: an item taken, and what its user took before."""

    histories: Rows
    half_life: float
    settings: TwoTowerSettings

    def rows(self) -> Ints:
        """Places in `histories.items` of the items to predict: all but each user's first, the latest ones first."""
        position, lengths = self.histories.position_of, self.histories.lengths[self.histories.row_of]
        rows = np.flatnonzero(position < lengths - 1)
        return np.sort(rows[np.argsort(position[rows], kind="stable")[: self.settings.most_pairs]])

    def before(self, rows: Ints, n_items: int) -> "csr_matrix[Any]":
        """(rows, items) weights of what came before each of these places."""
        end = self.histories.offsets[self.histories.row_of[rows] + 1]
        lengths = np.minimum(end, rows + 1 + self.settings.longest) - rows - 1
        offsets = ends(lengths)
        chosen = np.repeat(rows + 1 - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Rows(offsets, self.histories.items[chosen]).weighted(n_items, self.half_life)

    def batches(self, rows: Ints, chance: np.random.Generator) -> Iterator[Ints]:
        """All rows in random order."""
        order = chance.permutation(rows)
        for start in range(0, len(order), self.settings.batch):
            yield order[start : start + self.settings.batch]


class _Model:
    """Both towers in training, with a vector and a bias per item that start from what interactions tell."""

    def __init__(self, histories: Rows, vectors: Vectors, collaborative: Vectors, settings: TwoTowerSettings) -> None:
        import torch

        self.settings, self.vectors, self.collaborative = settings, vectors, collaborative
        texts, d, experts = vectors.shape[1], settings.dimensions, settings.experts
        self.towers = {
            side: {
                "experts": torch.nn.Parameter(torch.randn(texts, experts * d) / texts**0.5),
                "offsets": torch.nn.Parameter(torch.zeros(experts, d)),
                "gate": torch.nn.Parameter(torch.randn(texts, experts) / texts**0.5),
                "projection": torch.nn.Parameter(torch.eye(d)),
            }
            for side in ("users", "items")
        }
        counts = np.bincount(histories.items, minlength=len(vectors))
        self.own = torch.nn.Parameter(torch.from_numpy(collaborative.copy()))
        self.bias = torch.nn.Parameter(torch.zeros(len(vectors)))
        self.texts = torch.tensor(vectors)
        self.trust = torch.from_numpy((counts / (counts + settings.shrinkage)).astype(np.float32))
        self.negatives = Negatives.by(counts, 0.75)
        self.log_chance = torch.from_numpy(self.negatives.log_chance)

    def parameters(self) -> "list[Tensor]":
        """All that is learnt."""
        return [*(p for tower in self.towers.values() for p in tower.values()), self.own, self.bias]

    def loss(self, rows: Ints, pairs: Pairs, chance: np.random.Generator) -> "Tensor":
        """Cross-entropy of the items at some places of the histories, given what came before each."""
        import torch

        texts, known = means(pairs.before(rows, len(self.vectors)), self)
        kept = torch.from_numpy((chance.random((len(rows), 1)) >= self.settings.dropout).astype(np.float32))
        tastes = self._place("users", torch.from_numpy(texts), torch.from_numpy(known) * kept)
        drawn = self.negatives.draw(self.settings.negatives, chance)
        target = pairs.histories.items[rows]
        ids = torch.from_numpy(np.concatenate([target, drawn]))
        kept_items = torch.from_numpy((chance.random(len(ids)) >= self.settings.dropout).astype(np.float32))
        trust = self.trust[ids] * kept_items
        places = self._place("items", self.texts[ids], self.own[ids] * trust[:, None]) / self.settings.temperature
        offset = self.bias[ids] * trust - self.log_chance[ids]
        positive = (tastes * places[: len(rows)]).sum(dim=1) + offset[: len(rows)]
        others = tastes @ places[len(rows) :].T + offset[len(rows) :]
        return sampled_softmax(positive, others, torch.from_numpy(target[:, None] == drawn[None, :]))

    def _place(self, side: str, texts: "Tensor", collaborative: "Tensor") -> "Tensor":
        import torch

        tower = self.towers[side]
        chances = torch.softmax(texts @ tower["gate"], dim=1)
        turned = (texts @ tower["experts"]).view(len(texts), *tower["offsets"].shape) + tower["offsets"]
        mixed = (chances[:, :, None] * turned).sum(dim=1) + collaborative @ tower["projection"]
        return torch.nn.functional.normalize(mixed, dim=1)

    def tower(self, side: str) -> Tower:
        """One side, trained."""
        return Tower(**{name: values.detach().numpy() for name, values in self.towers[side].items()})

    def places(self) -> tuple[Vectors, Vectors]:
        """All items' places and biases."""
        trust = self.trust.numpy()
        own = self.own.detach().numpy() * trust[:, None]
        return self.tower("items").place(self.vectors, own), self.bias.detach().numpy() * trust
