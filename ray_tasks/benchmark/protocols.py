"""How a log is cut: P1 by one moment for all users, P2 by each user's last two items.

P1 is what a night meets. P2 is what most papers report; it lets a model see what other users did later, so its
figures say less about tomorrow, and whatever counts by date must stay out of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ray_tasks.interactions.windows import Log

CLEAN = 5
"""Interactions that an item needs in the history to be in the clean catalogue."""


def by_time(log: Log, validation_share: float = 0.1, test_share: float = 0.1) -> Log:
    """P1: all events by time, ties in the given order; the last shares are validation and test."""
    order = np.argsort(log.time, kind="stable")
    cuts = np.round(np.cumsum([1 - validation_share - test_share, validation_share]) * len(order)).astype(int)
    split = np.empty(len(order), dtype=np.int8)
    split[order] = np.searchsorted(cuts, np.arange(len(order)), side="right")
    return replace(log, split=split)


def leave_last_out(log: Log) -> Log:
    """P2: each user's distinct items by first time taken; the last is test, the one before it validation.

    Users with fewer than three items only teach.
    """
    order = np.lexsort((np.arange(len(log.time)), log.time, log.user))
    _, first = np.unique(log.user[order].astype(np.int64) * len(log.item_ids) + log.item[order], return_index=True)
    distinct = log.where(np.sort(order[np.sort(first)]))
    order = np.lexsort((np.arange(len(distinct.time)), distinct.time, distinct.user))
    user = distinct.user[order]
    from_last = np.searchsorted(user, user, side="right") - 1 - np.arange(len(user))
    enough = np.bincount(user, minlength=len(log.user_ids))[user] >= 3
    split = np.zeros(len(user), dtype=np.int8)
    split[order] = np.where(enough, np.clip(2 - from_last, 0, 2), 0)
    return replace(distinct, split=split)


PROTOCOLS: Mapping[str, Callable[[Log], Log]] = {"p1": by_time, "p2": leave_last_out}


def clean_catalogue(known: Log) -> NDArray[np.bool_]:
    """Items with at least CLEAN interactions in the known log.

    A data set that was filtered over its whole period gives away that its rare items are bound to return: counting to
    the filter's threshold then ranks new items better than any model. Among these items it cannot.
    """
    return np.bincount(known.item, minlength=len(known.item_ids)) >= CLEAN
