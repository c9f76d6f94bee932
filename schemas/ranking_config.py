"""Settings of what becomes of candidates: ranker, re-ranking, final list, explanations, requests, evaluation."""

from typing import Literal

from pydantic import Field

from schemas.source_config import Section


class Rerank(Section):
    """A language model re-orders the lists of some users: off until `make bench-ranking` has shown that it helps."""

    method: Literal["off", "pointwise", "listwise"] = Field(
        "off", description="pointwise asks about each item alone, listwise about shuffled parts of the list"
    )
    share: float = Field(0.1, ge=0, le=1, description="Share of the users, the same ones every night")
    tokens: int = Field(
        100_000, ge=0, le=10_000_000_000, description="Prompt tokens that a night may read for it; then no user follows"
    )
    places: int = Field(10, ge=2, le=100, description="First places of a list that change: each costs tokens")
    weight: float = Field(0.2, ge=0, le=1, description="The model's say beside the ranker; `bench-ranking` tells one")
    in_context: int = Field(0, ge=0, le=20, description="Solved examples of other users that every prompt begins with")


class Ranking(Section):
    """The learned ranker and the published list."""

    top_k: int = Field(20, ge=1, le=500, description="Recommendations per user")
    trees: int = Field(300, ge=0, description="Most boosting rounds; cross-validation on the window picks fewer")
    training_users: int = Field(2_000, ge=10, description="Users of the validation window that the ranker learns from")
    negatives: int = Field(40, ge=1, description="Candidates not taken that each list teaches by, drawn per fold")
    leaves: int = Field(15, ge=2, description="Leaves per tree")
    learning_rate: float = Field(0.05, gt=0, le=1)
    feature_share: float = Field(0.5, gt=0, le=1, description="Share of the features that each tree may use")
    champion_days: int = Field(
        30, ge=0, description="A younger champion serves on unless tonight's ranker beats it; an older one must beat it"
    )
    arm: str = Field("default", description="Experiment arm written to every row")
    rerank: Rerank = Rerank()


class Rule(Section):
    """Items by the value of a field."""

    field: str = Field("item_id", description="item_id, categories, or a field of the items' texts, as brand")
    value: str = Field(description="The value that an item has in it")


class Limit(Section):
    """How many items of a list may share a value of a field."""

    field: str = Field("categories", description="categories, or a field of the items' texts, as brand")
    most: int = Field(ge=1)


class Pin(Section):
    """An item at a fixed place of every list whose user has not taken it."""

    item_id: str
    place: int = Field(1, ge=1, description="From 1")


class FinalList(Section):
    """What becomes of the ranker's order; by default a few new items are added at its end."""

    diversity: float = Field(0, ge=0, le=1, description="0: relevance alone; 1: unlikeness to the items above alone")
    calibration: float = Field(0, ge=0, le=1, description="How much the list's mix of categories follows the history's")
    pool: int = Field(100, ge=1, le=2_000, description="Best candidates of a user that the list is chosen from")
    explore: int = Field(2, ge=0, description="Last places of every list that go to new items, so that they are seen")
    shuffle: float = Field(
        0,
        ge=0,
        le=1,
        description="Share of the lists, others every night, whose order is drawn by chance: with feedback on them, "
        "`evaluations` tells what another order would earn",
    )
    patience: int = Field(3, ge=1, description="Days that an item may be shown without a click, before it moves down")
    demotion: int = Field(10, ge=0, description="Places that it moves down for each further day; 0: none")
    exclude: tuple[Rule, ...] = Field((), description="Items never recommended: by id, category, brand, availability")
    caps: tuple[Limit, ...] = Field((), description="Most items of a list that share a category, a brand, ...")
    pin: tuple[Pin, ...] = Field((), description="Items at fixed places")

    @property
    def keeps_order(self) -> bool:
        """True if nothing but exclusion, exploration and pins changes the ranker's order."""
        return not (self.diversity or self.calibration or self.caps)


class Explanations(Section):
    """Why each item is recommended: how much is said of it, and who phrases it."""

    max_evidence: int = Field(3, ge=1, le=10, description="History items named per recommendation")
    max_statements: int = Field(3, ge=1, le=4, description="Statements per recommendation, the most telling first")
    style: Literal["llm", "template"] = Field(
        "llm", description="llm: the language model phrases the first places within the budget; template: none"
    )
    places: int = Field(3, ge=1, le=500, description="First places of each list that the language model may phrase")
    nightly_token_budget: int = Field(
        8_000,
        ge=0,
        le=10_000_000_000,
        description="Prompt and output tokens for explanations; none where generator.nightly_token_budget is 0",
    )


class Evaluation(Section):
    """Offline evaluation by time: the last shares of all interactions are validation and test."""

    validation_share: float = Field(0.1, gt=0, lt=0.5)
    test_share: float = Field(0.1, gt=0, lt=0.5)
    min_rating: float | None = Field(None, description="A rating below this is no relevant target")


class Requests(Section):
    """Requests in users' own words, and the lists that answer them."""

    days: float = Field(7, gt=0, description="A request is answered while it is no older than this")
    per_user: int = Field(3, ge=1, description="Requests of a user that are answered, the newest first")
    top_k: int = Field(10, ge=1, le=200, description="Items that answer a request")
    reader: Literal["encoder", "llm"] = Field(
        "encoder", description="Which model explains words that no term of the vocabulary does; see `bench-requests`"
    )
