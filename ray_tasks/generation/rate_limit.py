"""When a request may be sent: an account's limits per minute, spread evenly, and the waits after a failure."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Sleep = Callable[[float], Awaitable[None]]

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before the second try, doubled from try to try, and the longest wait, whatever an endpoint asks for."""


class RateLimit:
    """Lets calls through at a steady rate: each reserves its share of a minute, and waits until it begins.

    It lives as long as the account's use does, across event loops: a new one would let a burst through.
    """

    def __init__(
        self,
        requests: int | None,
        tokens: int | None,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`requests` and `tokens` are per minute, None is no limit; `sleep` and `clock` count seconds."""
        self._requests, self._tokens, self._sleep, self._clock = requests, tokens, sleep, clock
        self._free_at = 0.0

    async def wait(self, tokens: int) -> None:
        """Return when a request of so many tokens may be sent."""
        share = max(
            60 / self._requests if self._requests else 0.0,
            60 * tokens / self._tokens if self._tokens else 0.0,
        )
        now = self._clock()
        start = max(now, self._free_at)
        self._free_at = start + share
        if start > now:
            await self._sleep(start - now)

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long, within LONGEST_WAIT: the endpoint has asked for it."""
        self._free_at = max(self._free_at, self._clock() + min(seconds, LONGEST_WAIT))


def wait_before(number: int, asked: float, chance: random.Random) -> float:
    """Seconds before the second or a later try: what is asked for, or exponential with jitter; never too long."""
    grown = FIRST_WAIT * 2 ** (number - 2) * (0.5 + chance.random())
    return min(LONGEST_WAIT, max(asked, grown))


def retry_after(header: str | None) -> float:
    """Seconds of a Retry-After header, a number or a date; 0 where it has neither."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(str(header)) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
