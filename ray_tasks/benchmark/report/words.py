"""Names and numbers as the page of a ranking benchmark writes them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

UNKNOWN, MINUS = "-", "\N{MINUS SIGN}"
EVEN = 0.1
"""A place that gains less than this, in log-probability, is read like any other."""
LABELS = {
    "nightrec": "Nightrec",
    "nightrec_documents": "Nightrec without LLM profiles",
    "nightrec_no_text": "Nightrec without text",
    "explore": "Nightrec with exploration",
    "fusion": "Rank fusion",
    "popularity": "Recent popularity",
    "item_item": "Item-item",
    "ease": "EASE",
    "ials": "iALS",
    "transitions": "Sequential rules",
    "text": "Text similarity",
    "words": "Shared words",
    "ease_text": "EASE with texts",
    "two_tower": "Two-tower of texts",
    "new_items": "New items by their texts",
    "graph": "Texts over the graph",
    "sequence": "Sequence model",
    "sequence_text": "Sequence model with texts",
    "generative": "Semantic ids",
    "profiles": "LLM profiles",
    "sasrec": "SASRec",
    "bert4rec": "BERT4Rec",
    "peer_implicit_als": "ALS (implicit)",
    "peer_implicit_bm25": "BM25 neighbours (implicit)",
    "peer_lenskit_ease": "EASE (LensKit)",
    "peer_rectools_sasrec": "SASRec (RecTools)",
    "peer_rectools_bert4rec": "BERT4Rec (RecTools)",
    "ndcg@10": "NDCG@10",
    "recall@20": "Recall@20",
    "mrr@20": "MRR@20",
    "no_rerank": "No re-ranking",
    "ndcg": "NDCG",
    "ci": "95% interval",
}
ARMS = {
    "base": "base model",
    "tuned": "tuned model",
    "zero-shot": "no examples",
    "in-context": "with examples",
    "pointwise": "item by item",
    "listwise": "whole list",
}
"""Words of a re-ranking arm's name."""
PROTOCOLS = {
    "p1": "All users are cut at one moment: the newest tenth of all interactions is the test, the tenth before it the "
    "validation.",
    "p2": "Each user's last item is the test and the one before it the validation; everything else teaches. "
    "A model may see what other users did later, so these figures say less about tomorrow.",
}


def label(name: str) -> str:
    """A model, metric or feature in words."""
    if name.endswith("_unweighted"):
        return f"{label(name.removesuffix('_unweighted'))} without recency"
    words = " ".join("LLM" if word == "llm" else word for word in name.split("_"))
    return LABELS.get(name, opening(words))


def feature(name: str, sources: Iterable[str]) -> str:
    """A ranker's feature in words: one of a source begins with that source's label."""
    source = max((one for one in sources if name.startswith(f"{one}_")), key=len, default="")
    return f"{label(source)}: {name.removeprefix(source)[1:].replace('_', ' ')}" if source else label(name)


def arm(name: str) -> str:
    """A way of asking the language model to re-rank, as words inside a sentence; a name of other words stays."""
    asked, blend, _ = name.partition("+ranker")
    parts = asked.split()
    told = ", ".join(ARMS[one] for one in parts) if set(parts) <= set(ARMS) else asked
    return f"{told}, with the ranker" if blend else told


def opening(text: str) -> str:
    """With a capital, for the beginning of a line."""
    return text[:1].upper() + text[1:]


def bias(places: Sequence[float]) -> str:
    """What the places of a shown list gain by being where they are, as factors of probability."""
    if not places:
        return "no list shown"
    if max(map(abs, places)) < EVEN:
        return "all places alike"
    ends = max(places), min(places)
    first, last = (f"place {places.index(one) + 1} \N{MULTIPLICATION SIGN}{math.exp(one):.2g}" for one in ends)
    return f"{first}, {last}"


def within(name: str) -> str:
    """A label inside a sentence: a capital stays only where the name has more of them."""
    text = label(name)
    return text[:1].lower() + text[1:] if text[1:].split(" ")[0].islower() else text


def finite(value: Any) -> float | None:
    """A number, None where there is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def metric(value: float | None) -> str:
    """A metric with the decimals that its size deserves."""
    if value is None:
        return UNKNOWN
    size = abs(value)
    text = f"{size:,.0f}" if size >= 1000 else f"{size:.2f}" if size >= 1 else f"{size:.4f}"
    return f"{MINUS}{text}" if value < 0 else text


def number(value: float | None) -> str:
    """A count with thousands separated."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A share or a size of change, without a sign: 18.8%."""
    return UNKNOWN if value is None else f"{abs(value):,.1%}"


def signed(value: float | None, form: str = ",.1%") -> str:
    """A change with its sign: +18.8%."""
    if value is None:
        return UNKNOWN
    text = format(abs(value), form)
    return text if not any(c in text for c in "123456789") else (MINUS if value < 0 else "+") + text


def difference(value: float | None) -> str:
    """A change in a metric: +0.0174."""
    return signed(value, ".4f")


def chance(value: float | None) -> str:
    """A p-value."""
    return UNKNOWN if value is None else f"{value:.3f}" if value >= 0.001 else "< 0.001"


def duration(value: float | None) -> str:
    """Seconds as people read them: 8.4 s, 17 min 37 s, 2 h 05 min."""
    if value is None:
        return UNKNOWN
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def cell(value: Any, name: str = "") -> str:
    """Any plain value of a result in a table: numbers, intervals, lists of words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and "value" in value:
        ends = [finite(value.get(end)) for end in ("low", "high")]
        return cell(value["value"]) + ("" if None in ends else f" ({metric(ends[0])} to {metric(ends[1])})")
    if isinstance(value, list | tuple):
        is_interval = len(value) == 2 and None not in map(finite, value)
        texts = [signed(finite(one)) if name == "ci" else cell(one) for one in value]
        return (" to " if is_interval else ", ").join(texts)
    return value if isinstance(value, str) else _plain(finite(value), name)


def _plain(value: float | None, name: str) -> str:
    if value is None or name.endswith("lift"):
        return signed(value)
    # Settings are round and stay so; metrics keep their decimals.
    return f"{value:,.6g}" if "@" not in name and round(value, 2) == value else metric(value)
