"""What a night's profiles cost and what reuse saved, told from the published rows: a rerun tells the same."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ray_tasks.profiles.kinds import ProfileKind
from schemas.config import RunConfig
from schemas.generation_config import Endpoint

Row = Mapping[str, Any]


def cost_row(
    kind: ProfileKind,
    config: RunConfig,
    revision: str,
    rows: Sequence[Row],
    rejects: Iterable[Row],
    over_budget: int,
    budget: int,
) -> dict[str, Any]:
    """The row of `generation_costs` for the night's rows of profiles and rejects of one kind.

    `over_budget` counts the profiles that the budget did not reach; `budget` is in tokens.
    """
    tonight = [row for row in rows if row["generated_on"] == config.night]
    earlier = [row for row in rows if row["generated_on"] and row["generated_on"] < config.night]
    accepted = sum(row["source"] == "llm" for row in tonight)
    spent, saved = _tokens(tonight), _tokens(earlier)
    endpoint = config.generator.endpoint
    return {
        "kind": kind.name,
        "model": config.generator.model,
        "model_revision": revision,
        "prompt_version": kind.prompt_version(config.generator),
        "profiles": len(rows),
        "asked": len(tonight),
        "accepted": accepted,
        "failed_attempts": sum(row["generated_on"] == config.night for row in rejects),
        "reused": len(earlier),
        "over_budget": over_budget,
        "prompt_tokens": spent[0],
        "output_tokens": spent[1],
        "saved_tokens": sum(saved),
        "budget_tokens": budget,
        "money": money(endpoint, *spent),
        "saved_money": money(endpoint, *saved),
        "tokens_per_thousand": 1_000 * sum(spent) / accepted if accepted else None,
        "money_per_thousand": 1_000 * money(endpoint, *spent) / accepted if accepted else None,
    }


def money(endpoint: Endpoint, prompt_tokens: int, output_tokens: int) -> float:
    """Price of tokens by the endpoint's prices per million, in the account's currency."""
    return (
        prompt_tokens * endpoint.price_per_million_input + output_tokens * endpoint.price_per_million_output
    ) / 1_000_000


def _tokens(rows: Iterable[Row]) -> tuple[int, int]:
    """(prompt, output) tokens of rows."""
    found = [(row["prompt_tokens"], row["output_tokens"]) for row in rows]
    return sum(prompt for prompt, _ in found), sum(output for _, output in found)
