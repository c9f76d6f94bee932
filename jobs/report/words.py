"""Numbers, names and dates as the report writes them."""

from datetime import datetime

LABELS = {
    "ranker": "Ranker",
    "ease": "EASE",
    "ials": "iALS",
    "nightrec_no_text": "Nightrec without text",
    "item_item": "Item-item",
    "transitions": "Transitions",
    "text": "Text similarity",
    "popularity": "Popularity, recent",
    "popularity_recent": "Popularity, recent",
    "popularity_all_time": "Popularity, all time",
    "ndcg@10": "NDCG@10",
    "recall@20": "Recall@20",
    "coverage@10": "Coverage@10",
    "llm": "Model",
    "all": "All users",
    "lora": "LoRA",
    "micro_f1": "Label F1",
    "macro_f1": "Label F1, mean over labels",
    "auc": "Next-item AUC",
    "ndcg_10": "NDCG@10",
    "validity": "Valid form",
    "grounding": "Passes all checks",
    "accepted": "Accepted, retry included",
    "seconds_per_answer": "Seconds per answer",
    "tokens_per_answer": "Tokens per answer",
    "next_item": "Next item",
    "profile": "Profiles",
}


def label(name: str) -> str:
    """A technical name in words."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


def number(value: float | None) -> str:
    """A count with thousands separated."""
    return "unknown" if value is None else f"{value:,.0f}"


def figure(value: float | None) -> str:
    """A count, or a metric below one with its decimals."""
    if value is None:
        return "unknown"
    return f"{value:.4f}" if value != int(value) and abs(value) < 1 else f"{value:,.0f}"


def compact(value: float | None) -> str:
    """A count in few letters: 950, 50.1k, 1.2M."""
    if value is None:
        return "unknown"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.4g}{name}"
    return f"{value:.4g}"


def measure(value: float) -> str:
    """A measured value with as many decimals as its size deserves."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3f}"


def money(value: float | None) -> str:
    """An amount of money, without a currency: prices are given without one."""
    return "unknown" if value is None else f"{value:,.2f}" if value >= 1 or not value else f"{value:.4f}"


def percent(value: float) -> str:
    """A share in percent, with decimals where it is small."""
    return f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value:.1%}"


def seconds(value: float | None) -> str:
    """A duration as an engineer reads it: 8.4 s, 4 min 06 s, 2 h 05 min."""
    if value is None:
        return "unknown"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def data_size(value: float) -> str:
    """Bytes as people read them: 950 B, 50 kB, 1.2 MB."""
    if value < 1_000:
        return f"{value:.0f} B"
    unit, name = next((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if value >= unit)
    return f"{value / unit:.3g} {name}"


def day(value: str) -> str:
    """A date in words: 23 April 1998."""
    moment = datetime.fromisoformat(value)
    return f"{moment.day} {moment:%B %Y}"


def day_short(value: str) -> str:
    """A date in few letters: 23 Apr."""
    moment = datetime.fromisoformat(value)
    return f"{moment.day} {moment:%b}"
