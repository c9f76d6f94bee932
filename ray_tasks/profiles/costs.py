"""What a night's profiles cost and what reuse saved, told from the published rows: a rerun tells the same."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ray_tasks.profiles.kinds import ProfileKind
from schemas.config import RunConfig
from schemas.generation_config import Endpoint

Row = Mapping[str, Any]


@dataclass
class Tally:
    """Sums over a night's rows of profiles and rejects of one kind, added part by part."""

    night: date
    profiles: int = 0
    asked: int = 0
    accepted: int = 0
    failed_attempts: int = 0
    reused: int = 0
    spent: tuple[int, int] = (0, 0)
    saved: tuple[int, int] = (0, 0)
    fallback: Counter[str] = field(default_factory=Counter)

    def add(self, rows: Sequence[Row], rejects: Iterable[Row]) -> None:
        """Count some more rows. `spent` and `saved` are prompt and output tokens."""
        tonight = [row for row in rows if row["generated_on"] == self.night]
        earlier = [row for row in rows if row["generated_on"] and row["generated_on"] < self.night]
        self.profiles += len(rows)
        self.asked += len(tonight)
        self.accepted += sum(row["source"] == "llm" for row in tonight)
        self.failed_attempts += sum(row["generated_on"] == self.night for row in rejects)
        self.reused += len(earlier)
        self.spent, self.saved = _more(self.spent, tonight), _more(self.saved, earlier)
        self.fallback.update(row["reason"] for row in rows if row["reason"])


def cost_row(
    kind: ProfileKind, config: RunConfig, revision: str, tally: Tally, over_budget: int, budget: int
) -> dict[str, Any]:
    """The row of `generation_costs` for the night's rows of profiles and rejects of one kind.

    `over_budget` counts the profiles that the budget did not reach; `budget` is in tokens.
    """
    endpoint, accepted = config.generator.endpoint, tally.accepted
    price = money(endpoint, *tally.spent)
    return {
        "kind": kind.name,
        "model": config.generator.model,
        "model_revision": revision,
        "prompt_version": kind.prompt_version(config.generator),
        "profiles": tally.profiles,
        "asked": tally.asked,
        "accepted": accepted,
        "failed_attempts": tally.failed_attempts,
        "reused": tally.reused,
        "over_budget": over_budget,
        "prompt_tokens": tally.spent[0],
        "output_tokens": tally.spent[1],
        "saved_tokens": sum(tally.saved),
        "budget_tokens": budget,
        "money": price,
        "saved_money": money(endpoint, *tally.saved),
        "tokens_per_thousand": 1_000 * sum(tally.spent) / accepted if accepted else None,
        "money_per_thousand": 1_000 * price / accepted if accepted else None,
    }


def money(endpoint: Endpoint, prompt_tokens: int, output_tokens: int) -> float:
    """Price of tokens by the endpoint's prices per million, in the account's currency."""
    return (
        prompt_tokens * endpoint.price_per_million_input + output_tokens * endpoint.price_per_million_output
    ) / 1_000_000


def _more(sums: tuple[int, int], rows: Iterable[Row]) -> tuple[int, int]:
    for row in rows:
        sums = sums[0] + row["prompt_tokens"], sums[1] + row["output_tokens"]
    return sums
