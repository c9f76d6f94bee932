"""Attention over rows of different lengths that share a prefix: no padding, and the prefix is kept once.

The new tokens of all rows go through the model as one sequence. Attention then takes each token to the keys of the
shared prefix (one matrix product for all rows, as in Hydragen, arXiv 2402.05099) and to those of its own row. With
it, a row may enter or leave at any step (iteration-level scheduling, Orca, OSDI 2022).
"""

from dataclasses import dataclass
from typing import Any

NAME = "nightrec_packed"


def register() -> None:
    """Make the attention known to transformers under NAME."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)


class RowCache:
    """Keys and values of up to `slots` rows of at most `length` tokens each, and of the prefix that they share.

    Per layer: rows are (slots, kv heads, length, head size), the prefix (kv heads, prefix length, head size).
    """

    def __init__(self, model: Any, slots: int, length: int, prefix: "RowCache | None" = None) -> None:
        import torch

        config = model.config
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, slots, heads, length, size)
        self.keys = torch.zeros(shape, dtype=model.dtype, device=model.device)
        self.values = torch.zeros_like(self.keys)
        self.prefix_length = prefix.length if prefix else 0
        self.prefix_keys: Any = prefix.keys[:, 0] if prefix else None  # its one and only slot
        self.prefix_values: Any = prefix.values[:, 0] if prefix else None

    @property
    def length(self) -> int:
        """Most tokens of a row."""
        return int(self.keys.shape[3])


@dataclass(frozen=True)
class Packing:
    """Where the tokens of one forward pass belong: their slot and their place in their row, both (tokens,).

    `hidden` is (tokens, 1, 1, longest): 0 for the keys of a row that a token sees, minus infinity for later ones.
    """

    cache: RowCache
    slots: Any
    places: Any
    hidden: Any

    @classmethod
    def of(cls, cache: RowCache, slots: list[int], places: list[int]) -> "Packing":
        """From lists, on the cache's device."""
        import torch

        device = cache.keys.device
        at = torch.tensor(places, device=device)
        later = torch.arange(max(places) + 1, device=device) > at[:, None]
        hidden = torch.zeros(later.shape, dtype=cache.keys.dtype, device=device).masked_fill_(later, float("-inf"))
        return cls(cache, torch.tensor(slots, device=device), at, hidden[:, None, None])

    @property
    def positions(self) -> Any:
        """Position ids (1, tokens): the prefix comes before every row."""
        return (self.places + self.cache.prefix_length)[None]


def packed_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,  # noqa: ARG001 - transformers passes it; None: places say it all
    scaling: float,
    packing: Packing,
    **_: Any,
) -> tuple[Any, None]:
    """Attention of (1, heads, tokens, size) queries to prefix and own row; keeps the tokens' keys and values.

    Returns (1, tokens, heads, size), as transformers expects it.
    """
    import torch

    cache, layer, longest = packing.cache, module.layer_idx, packing.hidden.shape[-1]
    n_kv, n_tokens, size = key.shape[1], query.shape[2], query.shape[3]
    cache.keys[layer][packing.slots, :, packing.places] = key[0].transpose(0, 1)
    cache.values[layer][packing.slots, :, packing.places] = value[0].transpose(0, 1)
    asked = (query[0].transpose(0, 1) * scaling).reshape(n_tokens, n_kv, -1, size)
    # (tokens, kv heads, longest, size) of each token's own row
    own_keys = cache.keys[layer][:, :, :longest].index_select(0, packing.slots)
    own_values = cache.values[layer][:, :, :longest].index_select(0, packing.slots)
    own = torch.matmul(asked, own_keys.transpose(2, 3)) + packing.hidden
    if cache.prefix_keys is None:
        return torch.matmul(torch.softmax(own, -1), own_values).reshape(1, n_tokens, -1, size), None
    by_head = asked.transpose(0, 1).reshape(n_kv, -1, size)
    told = torch.matmul(by_head, cache.prefix_keys[layer].transpose(1, 2))
    split = told.shape[-1]
    shared = told.view(n_kv, n_tokens, -1, split).transpose(0, 1)
    weights = torch.softmax(torch.cat([shared, own], -1), -1)
    found = torch.matmul(weights[..., split:], own_values)
    to_prefix = weights[..., :split].transpose(0, 1).reshape(n_kv, -1, split)
    found = found + torch.matmul(to_prefix, cache.prefix_values[layer]).view(n_kv, n_tokens, -1, size).transpose(0, 1)
    return found.reshape(1, n_tokens, -1, size), None
