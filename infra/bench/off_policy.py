"""Whether off-policy estimates keep their promise, on simulated users (`make bench-off-policy`).

A ranker in charge that knows tastes badly shows lists, a share of which is the shuffled pool; another one that knows
them better is estimated from the clicks. `coverage`: in how many repetitions an estimate's 95% interval holds what the
users truly make of the new lists. `bias` and `width` are relative to it. The model of rewards for `dr` is deliberately
poor: the click rate of each place.
"""

import argparse
import json

import numpy as np
from simulated_users import Ints, SimulatedUsers
from statsmodels.stats.proportion import proportion_confint
from task_runs import HOME

from jobs.experiments.off_policy import Estimate, Shown, estimates, shuffled_propensity
from measurement import written

NAMES = ("ips", "snips", "dr")
TOLD_EVERY = 20
"""Repetitions between two messages on how far it is."""


def main() -> None:
    """Repeat, and write build/bench/off-policy.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--nights", type=int, default=3, help="that every user sees a list in (default 3)")
    parser.add_argument("--share", type=float, default=0.1, help="of the lists that are shuffled (default 0.1)")
    parser.add_argument("--seed", type=int, default=20_241)
    arguments = parser.parse_args()
    runs = []
    for number in range(arguments.repetitions):
        runs.append(repetition(arguments.users, arguments.nights, arguments.share, arguments.seed + number))
        if (number + 1) % TOLD_EVERY == 0:
            print(f"{number + 1} of {arguments.repetitions} repetitions", flush=True)
    truth = np.array([true for true, _ in runs])
    found: dict[str, dict[str, object]] = {}
    for name in NAMES:
        own: list[Estimate] = [told[name] for _, told in runs]
        covers = [one.low <= true <= one.high for one, true in zip(own, truth, strict=True)]
        low, high = proportion_confint(sum(covers), len(covers), method="beta")
        found[name] = {
            "coverage": round(float(np.mean(covers)), 4),
            "coverage_95": [round(float(low), 4), round(float(high), 4)],
            "bias": round(float(np.mean([one.value for one in own] / truth - 1)), 4),
            "width": round(float(np.mean([one.high - one.low for one in own] / truth)), 4),
        }
    logged = float(np.mean([told["logged"].value for _, told in runs]))
    figures = {**found, "true_lift": round(float(truth.mean()) / logged - 1, 4), **vars(arguments)}
    print(json.dumps(figures, indent=2))
    written(HOME, "off-policy", figures)


def repetition(
    users: int, nights: int, share: float, seed: int, places: int = 10, pool: int = 20
) -> tuple[float, dict[str, Estimate]]:
    """What the new lists truly earn per place, and the estimates of it."""
    world = SimulatedUsers(users, 200, seed)
    in_charge = ranked(world, 1.0, pool)
    # The new ranker orders the same pool anew: what is never shown, nothing can be told of.
    place_of_new = np.argsort(np.argsort(-scores_of(world, in_charge, 0.6), axis=1), axis=1) + 1
    new = np.take_along_axis(in_charge, np.argsort(place_of_new, axis=1), axis=1)[:, :places]
    parts, truths = [], []
    for _ in range(nights):
        order = np.tile(np.arange(pool), (users, 1))
        shuffled = world.chance.random(users) < share
        order[shuffled] = world.chance.permuted(order[shuffled], axis=1)
        shown = np.take_along_axis(in_charge, order[:, :places], axis=1)
        parts.append((shown, order[:, :places] + 1, world.click(shown)))
        truths.append(world.expected(new).mean())
        world.next_day()
    told = estimates(joined(parts, place_of_new, share, pool))
    return float(np.mean(truths)), dict(told)


def ranked(world: SimulatedUsers, noise: float, pool: int) -> Ints:
    """(users, pool): items by a score that knows tastes as well as the noise lets it."""
    everything = np.tile(np.arange(world.items), (world.users, 1))
    return np.argsort(-scores_of(world, everything, noise), axis=1)[:, :pool]


def scores_of(world: SimulatedUsers, lists: Ints, noise: float) -> np.ndarray:
    """(users, items of a list): true liking and noise."""
    liking = np.einsum("ud,ukd->uk", world.tastes, world.vectors[lists]) + 0.25 * world.appeal[lists]
    return np.asarray(liking + noise * world.chance.normal(0, 0.5, lists.shape))


def joined(parts: list[tuple[Ints, Ints, np.ndarray]], place_of_new: Ints, share: float, pool: int) -> Shown:
    """All nights as one log."""
    users, places = parts[0][0].shape
    place = np.tile(np.arange(1, places + 1), (users, 1))
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("user", "reward", "propensity", "target", "place")}
    for _, rank, clicks in parts:
        columns["user"].append(np.repeat(np.arange(users), places))
        columns["reward"].append(clicks.ravel().astype(float))
        columns["propensity"].append(shuffled_propensity(place, rank, share, pool).ravel())
        columns["target"].append((np.take_along_axis(place_of_new, rank - 1, axis=1) == place).ravel().astype(float))
        columns["place"].append(place.ravel())
    flat = {name: np.concatenate(found) for name, found in columns.items()}
    at = flat.pop("place")
    rates = np.bincount(at, weights=flat["reward"]) / np.maximum(np.bincount(at), 1)
    return Shown(**flat, predicted=rates[at], expected=rates[at])


if __name__ == "__main__":
    main()
