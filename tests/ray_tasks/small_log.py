"""Small logs of interactions, drawn or given: what the tests of retrieval and ranking are made of."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from ray_tasks.interactions.windows import SPLITS, Log, encode, window
from ray_tasks.retrieval.factory import SourceFactory
from ray_tasks.retrieval.item_texts import ItemTexts
from ray_tasks.retrieval.scored_blocks import ScoredBlocks
from ray_tasks.retrieval.side_by_side import trials_of
from ray_tasks.retrieval.text_similarity import Vectors
from ray_tasks.retrieval.tuning import Tuned
from schemas.table import TIMESTAMP

AS_OF = datetime(2026, 11, 22, tzinfo=UTC)
START = AS_OF - timedelta(hours=1_000)
N_ITEMS = 8
TUNED = {
    "popularity": Tuned({"days": 7.0}, 0),
    "ease": Tuned({"l2": 5.0, "half_life": 3.0}, 0),
    "text": Tuned({"half_life": 2.0}, 0),
    "item_item": Tuned({"neighbours": 4.0, "shrinkage": 1.0, "half_life": 0.0}, 0),
    "transitions": Tuned({"steps": 3.0, "half_life": 1.0}, 0),
    "words": Tuned({"half_life": 2.0}, 0),
    "ease_text": Tuned({"l2": 5.0, "weight": 3.0, "half_life": 3.0}, 0),
    "ials": Tuned({"l2": 0.01, "unobserved": 0.1, "half_life": 0.0}, 0),
    "trending": Tuned({"days": 7.0}, 0),
    "newcomers": Tuned({"days": 7.0, "first": 2.0}, 0),
    "new_items": Tuned({"half_life": 2.0}, 0),
    "profiles": Tuned({"half_life": 2.0}, 0),
    "graph": Tuned({"layers": 2.0, "half_life": 2.0}, 0),
    "stated": Tuned({"days": 7.0, "first": 2.0, "weight": 10.0}, 0),
}


class Event(NamedTuple):
    """User and item as small numbers, hours since START, and one of SPLITS."""

    user: int
    item: int
    hour: float
    split: str
    rating: float | None = None


def user_id(number: int) -> str:
    """Ids sort like their numbers."""
    return f"u{number:02d}"


def item_id(number: int) -> str:
    """Ids sort like their numbers."""
    return f"i{number:02d}"


def splits_table(events: Sequence[Event]) -> pa.Table:
    """The columns of `splits` that a log is made from."""
    return pa.table(
        {
            "user_id": pa.array([user_id(e.user) for e in events], pa.string()),
            "item_id": pa.array([item_id(e.item) for e in events], pa.string()),
            "timestamp": pa.array([START + timedelta(hours=e.hour) for e in events], TIMESTAMP),
            "rating": pa.array([e.rating for e in events], pa.float64()),
            "split": pa.array([e.split for e in events], pa.string()),
        }
    )


def items_table(n_items: int = N_ITEMS) -> pa.Table:
    """A catalogue, in no order."""
    return pa.table({"item_id": pa.array([item_id(n) for n in reversed(range(n_items))], pa.string())})


def log_of(events: Sequence[Event], n_items: int = N_ITEMS, min_rating: float | None = None) -> Log:
    """The log of a night at AS_OF."""
    return encode(ds.dataset(splits_table(events)), items_table(n_items), AS_OF, min_rating)


def random_vectors(n_items: int = N_ITEMS, seed: int = 1) -> Vectors:
    """Unit vectors of the catalogue's texts."""
    vectors = np.random.default_rng(seed).normal(size=(n_items, 4)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def texts_of(vectors: Vectors) -> ItemTexts:
    """Texts whose words are the signs of their vectors."""
    return ItemTexts(vectors, csr_matrix(np.maximum(vectors, 0)), -vectors[:, ::-1])


def tune_all(log: Log, vectors: Vectors, settings, seed: int) -> dict[str, Tuned]:
    """The sources' parameters, tuned on the log's validation window."""
    view = window(log, "validation")
    factory = SourceFactory(view.log, texts_of(vectors), settings, seed)
    return {trial.name: trial.run(factory) for trial in trials_of(view, factory)}


def scoring(log: Log, name: str, *, served, vectors: Vectors, tuned, settings, stated=None):
    """A window's scorer by sources fitted on what it knows, and its users."""
    view = window(log, name, served, stated)
    factory = SourceFactory(view.log, texts_of(vectors), settings, 1)
    blocks = ScoredBlocks.of(view, {s: factory.fit(s, found.parameters) for s, found in tuned.items()}, settings)
    return blocks.scorer, blocks.users


def any_event(
    first_hour: int, last_hour: int, splits: Sequence[str] = SPLITS, n_items: int = N_ITEMS
) -> st.SearchStrategy[Event]:
    """An event of any user, known or new, with any item in a span of time."""
    hours = st.integers(first_hour, last_hour)
    return st.builds(Event, st.integers(0, 9), st.integers(0, n_items - 1), hours, st.sampled_from(splits))


@st.composite
def events(draw, n_users: int = 6, n_items: int = N_ITEMS, least: int = 1) -> list[Event]:
    """Events before AS_OF, cut by time into the three splits; `least` of them in train and in validation."""
    hours = st.integers(0, 999)
    drawn = draw(
        st.lists(
            st.tuples(hours, st.integers(0, n_users - 1), st.integers(0, n_items - 1)),
            min_size=2 * least,
            max_size=50,
            unique=True,
        )
    )
    drawn.sort()
    first = draw(st.integers(least, len(drawn) - least))
    second = draw(st.integers(first + least, len(drawn)))
    named = [SPLITS[(place >= first) + (place >= second)] for place in range(len(drawn))]
    return [Event(user, item, hour, split) for (hour, user, item), split in zip(drawn, named, strict=True)]
