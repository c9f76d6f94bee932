"""Keeps an account's limits: requests and tokens per minute, spread evenly instead of in bursts."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]


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
        """Let nobody through for so long: the endpoint has asked for it."""
        self._free_at = max(self._free_at, self._clock() + seconds)
