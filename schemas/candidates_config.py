"""Settings of the candidate sources, and the grids that they are tuned over."""

from typing import Literal, get_args

from pydantic import Field

from schemas.source_config import Section

SourceName = Literal[
    "popularity",
    "ease",
    "text",
    "item_item",
    "transitions",
    "words",
    "ease_text",
    "ials",
    "trending",
    "newcomers",
    "new_items",
    "graph",
    "two_tower",
    "sequence",
    "sequence_text",
    "generative",
    "profiles",
    "stated",
]
SOURCES: tuple[str, ...] = get_args(SourceName)
"""All candidate sources. Which of them a night uses is configured."""


class Candidates(Section):
    """Candidate sources; every grid is tuned by NDCG@10 on the validation window."""

    sources: tuple[SourceName, ...] = Field(
        ("popularity", "ease", "text", "item_item", "transitions", "newcomers", "new_items", "profiles", "stated"),
        description="Sources that propose; popularity is always among them, for users without a history",
    )
    per_source: int = Field(100, ge=10, le=2_000, description="Candidates that each source proposes per user")
    popularity_days: tuple[float, ...] = Field(
        (1, 3, 7, 14, 30, 60, 90, 180, 365, 1_000), min_length=1, description="Windows tried"
    )
    ease_l2: tuple[float, ...] = Field(
        (30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000),
        min_length=1,
        description="Tried for EASE",
    )
    item_item_neighbours: tuple[int, ...] = Field(
        (10, 20, 50, 100, 200, 500, 1_000, 2_000),
        min_length=1,
        description="Nearest items kept per item, values tried",
    )
    item_item_shrinkage: tuple[float, ...] = Field(
        (0, 10, 30, 100, 300, 1_000, 3_000),
        min_length=1,
        description="Added to the cosine's denominator",
    )
    transition_steps: tuple[int, ...] = Field(
        (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000),
        min_length=1,
        description="How far apart a transition may be, values tried",
    )
    ease_text_weight: tuple[float, ...] = Field(
        (0.1, 1, 10, 100, 1_000, 10_000),
        min_length=1,
        description="Users that two items with the same text count as having in common, values tried for ease_text",
    )
    ials_dimensions: int = Field(64, ge=1, le=1_024, description="Factors of ials")
    ials_l2: tuple[float, ...] = Field(
        (0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3), min_length=1, description="Tried for ials"
    )
    ials_unobserved: tuple[float, ...] = Field(
        (0.003, 0.01, 0.03, 0.1, 0.3), min_length=1, description="Weight of what did not happen, values tried for ials"
    )
    trending_days: tuple[float, ...] = Field(
        (1, 3, 7, 15, 30, 60, 120, 240, 480, 1_000),
        min_length=1,
        description="Half-life of an event in days, values tried for trending and newcomers",
    )
    newcomers_first: tuple[int, ...] = Field(
        (1, 3, 10, 30, 100, 300), min_length=1, description="Events that a user begins with, values tried for newcomers"
    )
    new_item_interactions: int = Field(5, ge=1, description="An item with fewer interactions is new")
    new_items_half_life: tuple[float, ...] = Field(
        (10,), min_length=1, description="Half-lives of history items tried for new_items"
    )
    graph_layers: tuple[int, ...] = Field(
        (1, 2, 4, 8, 16, 32, 64), min_length=1, description="Steps that texts spread over the graph, values tried"
    )
    two_tower_half_life: tuple[float, ...] = Field(
        (10,), min_length=1, description="Half-lives of history items tried for two_tower, each a training"
    )
    sequence_epochs: tuple[int, ...] = Field(
        (20,), min_length=1, description="Passes over the log, values tried for sequence models, each a training"
    )
    sequence_tokens: int = Field(
        8_000_000, ge=1_000, description="History items that a sequence model reads in training at most"
    )
    generative_collaborative: tuple[float, ...] = Field(
        (1.0,),
        min_length=1,
        description="Weight of who takes an item beside its text in semantic ids, values tried, each a training",
    )
    generative_tokens: int = Field(
        12_000_000, ge=1_000, description="Codes that `generative` reads in training at most"
    )
    stated_weight: tuple[float, ...] = Field(
        (1, 3, 10, 30),
        min_length=1,
        description="How much likeness to what a new user said counts against popularity, values tried for stated",
    )
    history_half_life: tuple[float, ...] = Field(
        (0, 1, 3, 10, 30, 100, 300), min_length=1, description="Half-life of a history item in positions; 0 is no decay"
    )
    tuning_users: int = Field(1_000, ge=10, description="Users of the validation window that sources are tuned on")
    max_core_items: int = Field(
        15_000,
        ge=10,
        description="EASE and item-item cover the items with most users; memory grows with the square. Where more "
        "items were taken, Spark's ALS fits factors and ials joins the sources",
    )
    block_size: int = Field(512, ge=1, description="Users scored at once")

    @property
    def used(self) -> tuple[str, ...]:
        """The sources that propose, in the order of SOURCES."""
        return tuple(source for source in SOURCES if source == "popularity" or source in self.sources)
