"""The draw of made-up interactions, block of users by block of users.

Each block has a random generator of its own, seeded by the block's number, so that what is drawn does not depend on
how many blocks lie in memory. Within a block everything is drawn at once.

Time runs on two clocks. Users come and return by the calendar; items are born and drift by the share of all events
that lies before (ten users' first evening counts as much as a quiet month), so that the shape's figures about the
last tenth of the events hold whatever the calendar looks like.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from synthetic_shape import DAY, Events, Floats, Ints, Shape, activity, pull

PERIODS = 20
"""Parts of the log, of equally many events, within which an item's popularity stands still."""
PILOT = 4_096
"""Users whose times are drawn to learn when the periods begin."""
CELLS = 4_000_000
"""Users x items of a block at most: 16 MB that say who took what."""
FILL = 0.6
"""Share of the first day's catalogue that the most active user may take; in MovieLens 1M it is 0.62."""
DRAWS = 60
"""Draws after which an event chooses among what its user has not taken, which is slow and always succeeds."""
GOLDEN = (math.sqrt(5) - 1) / 2
PLAN, PILOTS, BLOCKS, TEXTS, NEXT_DAY = range(5)
"""Streams of random numbers, each seeded by (seed, stream, ...)."""


@dataclass(frozen=True)
class Plan:
    """What all blocks share. Items lie cluster by cluster; seconds count from the log's beginning."""

    shape: Shape
    seed: int
    per_user: Ints
    """Events per user."""
    starts: Ints
    """Where each cluster's items begin, and where the last one's end."""
    names: Ints
    """The number in an item's id, by position: without this, neighbouring ids would tell the cluster."""
    born: Ints
    """Second from which on an item is there; 0: from the beginning."""
    edges: Ints
    """Seconds at which the periods 1, 2, ... begin."""
    chances: Floats
    """Cumulative popularity, (PERIODS x items + 1) entries: that of period p grows from p to p + 1."""
    quality: Floats
    """What an item adds to a rating, with variance 1."""
    block: int
    """Users per block."""

    @property
    def items(self) -> int:
        """Size of the catalogue."""
        return len(self.names)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return math.ceil(len(self.per_user) / self.block)

    def users_of(self, number: int) -> range:
        """Positions of the users of a block."""
        return range(number * self.block, min((number + 1) * self.block, len(self.per_user)))


def make_plan(shape: Shape, events: int, seed: int) -> Plan:
    """Sizes, catalogue and clock of a log of exactly `events` events. Raises ConfigError where they do not fit."""
    chance, items = default_rng([seed, PLAN]), shape.items(events)
    rank = chance.permutation(items)
    weights, born = pull(shape, items)[rank], births(chance, shape, items)[rank]
    per_user = chance.permutation(activity(shape, events, int(FILL * (born == 0).sum())))
    pilot = times(default_rng([seed, PILOTS]), shape, per_user[:PILOT])[1]
    clock = np.quantile(pilot, np.linspace(0, 1, 1_001))
    clock[0] = 0
    trends = shape.drift * chance.standard_normal(items)
    return Plan(
        shape=shape,
        seed=seed,
        per_user=per_user,
        starts=np.arange(shape.clusters + 1) * items // shape.clusters,
        names=chance.permutation(items),
        born=np.interp(born, np.linspace(0, 1, 1_001), clock).astype(np.int64),
        edges=np.interp(np.arange(1, PERIODS) / PERIODS, np.linspace(0, 1, 1_001), clock).astype(np.int64),
        chances=_chances(weights, trends, born),
        quality=chance.standard_normal(items),
        block=int(np.clip(CELLS // items, 16, 512)),
    )


def births(chance: Generator, shape: Shape, items: int) -> Floats:
    """When each item is born, the most popular first, as the share of all events before.

    Born later than the beginning is at most half of the catalogue. An item of the last tenth is there for half of it:
    a share f of the catalogue has f / 2 of the pull. Births are spread evenly over the ranks (golden ratio; Weyl 1916),
    or else the shape's figure would depend on whether one hit is new.
    """
    last = 2 * shape.new_share / (1 + shape.new_share)
    later = min(0.5, 10 * last)
    turn = np.floor(np.arange(items) * later + chance.random())
    new = np.diff(turn, prepend=math.floor(turn[0])) > 0
    # Even births where a tenth in each tenth is enough; else more of them towards the end.
    power = math.log(0.9) / math.log(1 - max(0.1, last / max(later, 1e-12)))
    return np.where(new, ((turn * GOLDEN + chance.random()) % 1) ** power, 0.0)


def _chances(weights: Floats, trends: Floats, born: Floats) -> Floats:
    """Each period's cumulative popularity, one behind the other; an item's trend leaves its total as it is."""
    middles = (np.arange(PERIODS) + 0.5) / PERIODS
    level = weights / sum(np.exp(trends * (middle - 0.5)) for middle in middles) * PERIODS
    found = np.zeros(PERIODS * len(weights) + 1)
    for period, middle in enumerate(middles):
        alive = level * np.exp(trends * (middle - 0.5)) * (born < (period + 1) / PERIODS)
        grown = np.cumsum(alive)
        found[period * len(weights) + 1 : (period + 1) * len(weights) + 1] = period + grown / grown[-1]
    return found


def times(chance: Generator, shape: Shape, per_user: Ints) -> tuple[Ints, Ints]:
    """User and second of each event, user by user in the order of time.

    A user comes, takes one item after the other, and perhaps returns after gaps; what would lie beyond the log's end
    lies as far beyond his first event.
    """
    users, total, span = len(per_user), int(per_user.sum()), int(shape.days * DAY)
    user, first = np.repeat(np.arange(users), per_user), np.cumsum(per_user) - per_user
    came = np.interp(chance.random(users), np.linspace(0, 1, len(shape.joins)), shape.joins) * span
    came = np.minimum(came, span - DAY)
    gap = chance.exponential(shape.step / (1 - shape.ties), total) * (chance.random(total) >= shape.ties)
    long = (chance.random(users) < shape.returning)[user] & (chance.random(total) < shape.pause)
    gap[long] = DAY * chance.lognormal(math.log(shape.gap_days), shape.gap_sigma, int(long.sum()))
    gap[first] = 0
    since = np.cumsum(gap)
    since -= since[first][user]
    second = (came[user] + since % (span - came)[user]).astype(np.int64)
    return np.divmod(np.sort(user * span + second), span)


def draw_block(plan: Plan, number: int) -> tuple[Events, NDArray[np.int64]]:
    """The events of a block, user by user in the order of time, and its users' favourite clusters.

    Users are positions in the log; times are seconds since its beginning. No user has an item twice.
    """
    chance, users = default_rng([plan.seed, BLOCKS, number]), plan.users_of(number)
    user, time = times(chance, plan.shape, plan.per_user[users.start : users.stop])
    sizes = np.diff(plan.starts) / plan.items
    favourites = chance.choice(plan.shape.clusters, (len(users), plan.shape.favourites), p=sizes)
    item = _choose(chance, plan, user, time, favourites)
    rating = _rate(chance, plan, user, item, len(users))
    return Events(user + users.start, item, rating, time), favourites


def _choose(chance: Generator, plan: Plan, user: Ints, time: Ints, favourites: Ints) -> Ints:
    """An item per event, by successive draws: what is unborn, or taken by an earlier event, is drawn again."""
    period = np.searchsorted(plan.edges, time, side="right")
    item = np.full(len(user), -1)
    taken = np.full(len(favourites) * plan.items, -1, dtype=np.int32)
    missing = np.arange(len(user))
    for _ in range(DRAWS):
        pick = favourites[user[missing], chance.integers(plan.shape.favourites, size=len(missing))]
        cluster = np.where(chance.random(len(missing)) < plan.shape.taste, pick, -1)
        drawn = _draw(chance, plan, period[missing], cluster)
        place = user[missing] * plan.items + drawn
        free = (plan.born[drawn] <= time[missing]) & (taken[place] < 0)
        event, place, drawn = missing[free], place[free], drawn[free]
        taken[place[::-1]] = event[::-1]  # of events that drew the same, the last written and first in time has it
        won = taken[place] == event
        item[event[won]] = drawn[won]
        missing = missing[item[missing] < 0]
        if not len(missing):
            return item
    for event in missing:
        mine = taken[user[event] * plan.items : (user[event] + 1) * plan.items]
        begin = period[event] * plan.items
        open_ = np.diff(plan.chances[begin : begin + plan.items + 1]) * (mine < 0) * (plan.born <= time[event])
        item[event] = chance.choice(plan.items, p=open_ / open_.sum())
        mine[item[event]] = event
    return item


def _draw(chance: Generator, plan: Plan, period: Ints, cluster: Ints) -> Ints:
    """An item by its period's popularity, within a cluster or (-1) among all."""
    begin = period * plan.items
    low = plan.chances[begin + np.where(cluster < 0, 0, plan.starts[cluster])]
    high = plan.chances[begin + np.where(cluster < 0, plan.items, plan.starts[cluster + 1])]
    point = np.minimum(low + chance.random(len(period)) * (high - low), np.nextafter(high, 0))
    found = np.searchsorted(plan.chances, point, side="right") - 1 - begin
    return np.clip(found, 0, plan.items - 1)  # a cluster that is yet to be born has no chance, and no place


def _rate(chance: Generator, plan: Plan, user: Ints, item: Ints, users: int) -> Floats:
    """Ratings 1, 2, ... whose shares are the shape's, more alike within an item and within a user."""
    shape = plan.shape
    rest = math.sqrt(max(0.0, 1 - shape.rating_item - shape.rating_user))
    liking = math.sqrt(shape.rating_item) * plan.quality[item] + rest * chance.standard_normal(len(item))
    liking += math.sqrt(shape.rating_user) * chance.standard_normal(users)[user]
    upto = np.cumsum(shape.ratings)[:-1] / sum(shape.ratings)
    return 1.0 + np.searchsorted([NormalDist().inv_cdf(share) for share in upto], liking)
