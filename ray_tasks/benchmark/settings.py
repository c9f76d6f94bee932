"""What the benchmark compares: one configuration for every data set and protocol, declared before any was tested."""

from collections.abc import Sequence

from schemas.candidates_config import SOURCES, Candidates
from schemas.ranking_config import Ranking

PROFILE_SOURCES = ("profiles",)
"""Sources that read what the language model wrote."""
TEXT_SOURCES = (
    "text",
    "new_items",
    "words",
    "ease_text",
    "graph",
    "two_tower",
    "sequence_text",
    "generative",
    *PROFILE_SOURCES,
)
"""Sources that read any text."""
UNWEIGHTED = ("item_item", "ease", "ials")
"""Sources that are baselines without recency as well, tuned apart."""
BASELINES = (
    "popularity",
    "trending",
    "transitions",
    *UNWEIGHTED,
    *(f"{name}_unweighted" for name in UNWEIGHTED),
)
"""What is to be beaten, beside every model of another library: collaborative filtering as others have it."""
WHOLE, DOCUMENTS, NO_TEXT = "nightrec", "nightrec_documents", "nightrec_no_text"
CANDIDATES = Candidates(
    sources=tuple(source for source in SOURCES if source != "stated"),  # logs hold no words of users
    per_source=50,
    tuning_users=3_000,
    history_half_life=(0, 0.5, 1, 3, 10, 30, 100),
)
RANKING = Ranking(training_users=10_000, trees=150)


def blends(sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The variants of the blend by the sources that each may know, of those in use; the whole one first.

    A variant that would be the same as the one before it is left out.
    """
    without = {WHOLE: (), DOCUMENTS: PROFILE_SOURCES, NO_TEXT: TEXT_SOURCES}
    found: dict[str, tuple[str, ...]] = {}
    for name, absent in without.items():
        kept = tuple(source for source in sources if source not in absent)
        if kept not in found.values():
            found[name] = kept
    return found
