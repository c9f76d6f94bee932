"""Keeps an account's limits: requests and tokens per minute, spread evenly instead of in bursts."""

import asyncio
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]


class RateLimit:
    """Lets calls through at a steady rate: each reserves its share of a minute, and waits until it begins.

    Seconds are those that the limit itself has let pass by `sleep`; time that passes elsewhere makes it no stricter
    than need be, since the clock of the event loop is asked as well.
    """

    def __init__(
        self,
        requests: int | None,
        tokens: int | None,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._requests, self._tokens, self._sleep = requests, tokens, sleep
        self._clock = clock or asyncio.get_event_loop().time
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
