"""What the language model's re-ordering of lists was worth, taken out of a result's `rerank`. All pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray_tasks.benchmark.report.figures import Effect, Result
from ray_tasks.benchmark.report.words import finite

BLENDED = "+ranker"
"""How the name of an order ends in which the ranker has a say."""


@dataclass(frozen=True)
class Order:
    """An order on the test users: NDCG@10 and its paired difference to the ranker's, as a share of the ranker's.

    `helps` is corrected for the number of orders, the interval is not.
    """

    ndcg: float | None
    change: Effect | None
    helps: bool


@dataclass(frozen=True)
class Arm:
    """A way of asking: the model's order alone and with the ranker's, and what asking took.

    `weight` is the model's share in the second order, tuned on validation. `bias`: what each place of a shown list
    gains, mean difference of log-probabilities; empty where no list is shown.
    """

    name: str
    alone: Order | None
    blended: Order | None
    weight: float | None
    tokens: float | None
    seconds: float | None
    bias: tuple[float, ...]

    @property
    def best(self) -> Order | None:
        """The order that would serve: with the ranker where there is one."""
        return self.blended or self.alone


def arms(result: Result) -> list[Arm]:
    """The arms of the test users in the order of the result; none where re-ranking was switched off."""
    told, base = _arms(result, "test"), ranker_ndcg(result)
    names = dict.fromkeys(name.removesuffix(BLENDED) for name in told)
    return [_arm(name, told.get(name, {}), told.get(name + BLENDED, {}), base) for name in names]


def ranker_ndcg(result: Result) -> float | None:
    """NDCG@10 of the ranker's order for the users that were compared."""
    return finite(_part(_window(result, "test"), "ranker_ndcg@10").get("value"))


def counts(result: Result) -> tuple[float | None, float | None]:
    """Test users compared, and those of them that the model was asked about."""
    told = _window(result, "test")
    return finite(told.get("users")), finite(told.get("asked"))


def chosen(result: Result) -> str | None:
    """Name of the order that validation chose; None where none helped beyond noise."""
    name = _part(result, "rerank").get("chosen")
    return name if isinstance(name, str) and name in _arms(result, "test") else None


def first_on_validation(result: Result) -> str | None:
    """The order with the largest difference on validation: the one chosen, or else the one that came closest.

    Of equal ones the first, and one with the ranker rather than the model's alone.
    """
    tested = _arms(result, "test")
    gaps = {
        name: gap
        for name, one in _arms(result, "validation").items()
        if name in tested and (gap := finite(_part(one, "difference").get("value"))) is not None
    }
    return chosen(result) or max(gaps, key=lambda name: (gaps[name], name.endswith(BLENDED)), default=None)


def order_of(result: Result, name: str) -> Order | None:
    """An order by its full name."""
    found = {arm.name: arm for arm in arms(result)}.get(name.removesuffix(BLENDED))
    if found is None:
        return None
    return found.blended if name.endswith(BLENDED) else found.alone


def _arm(name: str, alone: Mapping[str, Any], blended: Mapping[str, Any], base: float | None) -> Arm:
    spent = alone or blended
    bias = [finite(one) for one in spent.get("position_bias") or ()]
    return Arm(
        name,
        _order(name, alone, base),
        _order(name + BLENDED, blended, base),
        finite(blended.get("weight")),
        finite(spent.get("tokens")),
        finite(spent.get("seconds")),
        tuple(one for one in bias if one is not None) if None not in bias else (),
    )


def _order(name: str, told: Mapping[str, Any], base: float | None) -> Order | None:
    if not told:
        return None
    gap = _part(told, "difference")
    value, low, high = (finite(gap.get(end)) for end in ("value", "low", "high"))
    shares = [None if one is None or not base else one / base for one in (value, low, high)]
    return Order(
        finite(_part(told, "ndcg@10").get("value")), Effect.of(name, shares[0], shares[1:]), told.get("helps") is True
    )


def _window(result: Result, name: str) -> Mapping[str, Any]:
    return _part(_part(result, "rerank"), name)


def _arms(result: Result, window: str) -> dict[str, Mapping[str, Any]]:
    return {name: one for name, one in _part(_window(result, window), "arms").items() if isinstance(one, Mapping)}


def _part(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    held = found.get(key)
    return held if isinstance(held, Mapping) else {}
