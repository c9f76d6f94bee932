"""A BERT encoder without padding: texts of equal length lie side by side, and nothing else is computed.

`SentenceTransformer.encode` pads every text of a batch to the longest, and multiplies queries, keys and values apart.
Here all tokens of a batch are rows of one matrix: each linear layer is one product over all of them, queries, keys and
values together. Only attention knows where a text ends; since texts come by length, those of one length are a view of
that matrix. The arithmetic is that of the model; linear maps and attention may be in bfloat16, sums and norms are not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - everybody calls it F


@dataclass(frozen=True)
class Layer:
    """One transformer layer's weights: (out, in) and bias of each linear map, weight and bias of each norm."""

    attend: tuple[Tensor, Tensor]
    project: tuple[Tensor, Tensor]
    attention_norm: tuple[Tensor, Tensor]
    widen: tuple[Tensor, Tensor]
    narrow: tuple[Tensor, Tensor]
    norm: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, layer: Any, kind: torch.dtype) -> "Layer":
        """From a BertLayer, the linear maps in numbers of a kind."""
        own, output = layer.attention.self, layer.attention.output
        parts = (own.query, own.key, own.value)
        attend = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
        maps = [attend, *_weights(output.dense, layer.intermediate.dense, layer.output.dense)]
        attend, project, widen, narrow = ((weight.to(kind), bias.to(kind)) for weight, bias in maps)
        attention_norm, norm = _weights(output.LayerNorm, layer.output.LayerNorm)
        return cls(attend, project, attention_norm, widen, narrow, norm)


class PackedBert:
    """The encoder of a loaded SentenceTransformer: a BERT with mean pooling, where that model is: CPU or CUDA.

    `tokens` are multiplied at once, in numbers of a `kind`. Raises ValueError, with the reason, for every other model.
    """

    def __init__(self, model: Any, tokens: int, kind: torch.dtype = torch.float32) -> None:
        reason = unfit(model)
        if reason:
            raise ValueError(reason)
        transformer = model[0]
        bert = transformer.auto_model
        self.tokens, self.kind = tokens, kind
        self.tokenizer = transformer.tokenizer
        self.longest = model.max_seq_length
        self.heads, self.eps = bert.config.num_attention_heads, bert.config.layer_norm_eps
        parts = bert.embeddings
        self.words = parts.word_embeddings.weight
        self.places = parts.position_embeddings.weight + parts.token_type_embeddings.weight[0]
        self.norm = (parts.LayerNorm.weight, parts.LayerNorm.bias)
        self.layers = [Layer.of(layer, kind) for layer in bert.encoder.layer]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, dimensions), each row of length 1."""
        vectors = np.empty((len(texts), self.words.shape[1]), dtype=np.float32)
        for rows, ids in self._batches(texts):
            vectors[rows] = self._forward(ids).cpu().numpy()
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[list[int]]]]:
        """Places of texts and their token ids, by length, so many tokens at a time."""
        if not texts:
            return
        found = self.tokenizer(list(texts), truncation=True, max_length=self.longest, padding=False)["input_ids"]
        order = sorted(range(len(found)), key=lambda row: len(found[row]), reverse=True)
        rows: list[int] = []
        for row in order:
            if rows and (len(rows) + 1) * len(found[rows[0]]) > self.tokens:
                yield rows, [found[one] for one in rows]
                rows = []
            rows.append(row)
        if rows:
            yield rows, [found[one] for one in rows]

    def _forward(self, ids: list[list[int]]) -> Tensor:
        """Unit vectors of texts that come by length."""
        groups = [(length, len(list(same))) for length, same in groupby(map(len, ids))]
        device = self.words.device
        tokens = torch.tensor([token for text in ids for token in text], device=device)
        places = torch.cat([torch.arange(length).repeat(count) for length, count in groups]).to(device)
        state = self._norm(self.words[tokens].add_(self.places[places]), self.norm)
        for layer in self.layers:
            attend = F.linear(state.to(self.kind), *layer.attend)
            state = state.add_(F.linear(self._attention(attend, groups), *layer.project))
            state = self._norm(state, layer.attention_norm)
            inner = F.gelu(F.linear(state.to(self.kind), *layer.widen))
            state = self._norm(state.add_(F.linear(inner, *layer.narrow)), layer.norm)
        sizes = [length * count for length, count in groups]
        parts = zip(state.split(sizes), groups, strict=True)
        means = torch.cat([part.view(count, length, -1).mean(1) for part, (length, count) in parts])
        return F.normalize(means)

    def _norm(self, state: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
        return F.layer_norm(state, state.shape[-1:], *weights, self.eps)

    def _attention(self, attend: Tensor, groups: list[tuple[int, int]]) -> Tensor:
        """(tokens, dimensions) from queries, keys and values side by side, each text by itself."""
        found = attend.new_empty(len(attend), attend.shape[1] // 3)
        at = 0
        for length, count in groups:
            here = slice(at, at + length * count)
            parts = attend[here].view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            found[here] = attention(*parts).transpose(1, 2).reshape(length * count, -1)
            at += length * count
        return found


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k' / sqrt(d)) v of (texts, heads, length, d)."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v)
    # On a CPU torch's own takes up to four times as long on titles, and a quarter longer on documents.
    heads = q.shape[:2]
    q, k, v = (part.flatten(0, 1) for part in (q, k, v))
    near = torch.baddbmm(q.new_zeros(1), q, k.transpose(1, 2), beta=0, alpha=q.shape[-1] ** -0.5)
    return torch.bmm(near.softmax(-1), v).unflatten(0, heads)


def _weights(*modules: Any) -> list[tuple[Tensor, Tensor]]:
    return [(module.weight, module.bias) for module in modules]


def unfit(model: Any) -> str | None:
    """Why a SentenceTransformer cannot be computed here; None where it can."""
    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return f"it is made of {', '.join(kinds)}"
    config, pooling = model[0].auto_model.config, model[1].pooling_mode
    if config.model_type != "bert" or config.hidden_act != "gelu":
        return f"it is {config.model_type} with {getattr(config, 'hidden_act', 'another activation')}"
    if pooling != "mean" or model.default_prompt_name:
        return f"its pooling is {pooling}, its prompt {model.default_prompt_name}"
    return None if model.device.type in ("cpu", "cuda") else f"it is on {model.device.type}"
