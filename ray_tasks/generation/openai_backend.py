"""Any OpenAI-compatible endpoint as a generator: limits kept, failures bounded, every request accounted for.

One request to the endpoint per prompt, many under way at once. What may pass (429, 5xx, time-outs, broken
connections) is tried again with growing waits, at most `endpoint.attempts` times. An answer that is cut off is not
asked for again here: it comes back with its reason, and the caller's second attempt is the only other one.

Until the endpoint has answered once, requests go one at a time: the first one learns what the endpoint understands
and fills the provider's prompt cache, and a wrong key or an endpoint that is down costs a few requests, not hundreds.
"""

import asyncio
import hashlib
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ray_tasks.generation import chat_completions
from ray_tasks.generation.chat_completions import FORMS, Dialect, estimate_tokens
from ray_tasks.generation.protocol import Generation, Request
from ray_tasks.generation.rate_limit import RateLimit
from schemas.config import Generator as GeneratorConfig
from schemas.errors import ModelError

__all__ = ["OpenAIGenerator", "endpoint_revision", "estimate_tokens"]

log = logging.getLogger("nightrec.generation")

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before the second try, doubled from try to try, and the longest wait, whatever the endpoint asks for."""

SCOUTS, GIVE_UP = 3, 20
"""So many requests in a row without an answer, before and after the first answer, and the endpoint counts as down."""

PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))
UNSERVED = frozenset(("timeout", "rate_limited", "unavailable"))
REFUSES = {
    401: "it refuses the key",
    402: "it wants to be paid",
    403: "it refuses the key or the model",
    404: "it knows no such model or path",
}
HOPELESS = frozenset((401, 404))


def endpoint_revision(config: GeneratorConfig) -> str:
    """SHA-256 of URL and model name. What an endpoint serves under a name cannot be seen from outside.

    `system_fingerprint` comes with an answer, too late for a key that decides whether to ask.
    """
    return hashlib.sha256(f"{config.endpoint.url}\0{config.model}".encode()).hexdigest()


@dataclass
class _Health:
    """What is known of the endpoint. `silent` counts requests in a row without an answer."""

    answers: int = 0
    is_proven: bool = False
    silent: int = 0
    refusal: str = ""
    last: str = "nothing was sent"

    @property
    def is_down(self) -> bool:
        return self.silent >= (GIVE_UP if self.is_proven else SCOUTS)

    def answered(self) -> None:
        self.answers, self.is_proven, self.silent = self.answers + 1, True, 0

    def is_refused(self, status: int) -> None:
        """Not to be mended by a retry. Before the first answer it speaks of all requests, later of this one."""
        self.refusal = REFUSES.get(status, "")
        if status in HOPELESS and not self.is_proven:
            self.silent = SCOUTS
        elif status in REFUSES or not self.is_proven:
            self.silent += 1

    def doubt(self) -> None:
        """After a break, begin as with an unknown endpoint."""
        self.is_proven, self.silent, self.refusal = False, 0, ""


@dataclass(frozen=True)
class _Reply:
    """What one request came to: a status of HTTP, or 0 and the reason; `wait` is what the endpoint asks for."""

    status: int
    text: str = ""
    reason: str = "unavailable"
    wait: float = 0.0


class OpenAIGenerator:
    """Completes prompts by chat completions with a JSON schema as the form of the answer."""

    def __init__(
        self,
        config: GeneratorConfig,
        examples: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`examples` precede every prompt; `sleep` and `clock` let tests pass time.

        Raises ModelError when the key's environment variable is needed and absent, or holds what cannot be a key.
        """
        self._config, self._endpoint, self._examples, self._sleep = config, config.endpoint, examples, sleep
        self._key = _key(self._endpoint.url, self._endpoint.api_key_variable)
        self._limit = RateLimit(self._endpoint.requests_per_minute, self._endpoint.tokens_per_minute, sleep, clock)
        self._chance = random.Random(0)  # noqa: S311 - jitter is no secret
        self._dialect, self._health, self._counts = Dialect(), _Health(), True

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Complete all requests. Raises ModelError when the endpoint answers none of them, or refuses the key."""
        return asyncio.run(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Generation]:
        import httpx

        health, before = self._health, self._health.answers
        if health.is_down:
            health.doubt()
        slots = asyncio.Semaphore(self._endpoint.concurrency)
        async with httpx.AsyncClient(
            base_url=self._endpoint.url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=self._endpoint.timeout_seconds,
            limits=httpx.Limits(max_connections=self._endpoint.concurrency),
        ) as client:

            async def one(request: Request) -> Generation:
                async with slots:
                    return await self._one(client, request)

            found: list[Generation] = []
            while len(found) < len(requests) and not (health.is_proven or health.is_down):
                found.append(await one(requests[len(found)]))
            found += await asyncio.gather(*(one(request) for request in requests[len(found) :]))
        none_served = all(generation.error in UNSERVED for generation in found)
        if found and health.answers == before and (health.is_down or (none_served and not before)):
            raise ModelError(self._explain())
        return found

    async def _one(self, client: Any, request: Request) -> Generation:
        """One answer, in as many tries as it takes and may take."""
        health, form, reason = self._health, self._dialect.form, "unavailable"
        for attempt in range(self._endpoint.attempts):
            if health.is_down:
                return Generation("", 0, 0, reason)
            await self._limit.wait(estimate_tokens(self._examples + request.text) + self._config.max_new_tokens)
            reply = await self._send(client, request, form)
            if reply.status == 200:
                health.answered()
                return self._served(reply.text, request, form)
            health.last, reason = self._told(reply), reply.reason
            if reply.status in (400, 422):
                weaker = self._dialect.weaker(form, reply.text, request)
                if weaker is not None and attempt + 1 < self._endpoint.attempts:
                    form = weaker
                    continue
            if reply.status and reply.status not in PASSING:
                health.is_refused(reply.status)
                return Generation("", 0, 0, "refused")
            self._limit.hold(min(reply.wait, LONGEST_WAIT))
            if attempt + 1 < self._endpoint.attempts:
                await self._sleep(_wait(attempt, reply.wait, self._chance))
        health.silent += 1
        return Generation("", 0, 0, reason)

    async def _send(self, client: Any, request: Request, form: int) -> _Reply:
        """One HTTP request. `timeout_seconds` is for the whole answer, however it trickles in."""
        import httpx

        content = chat_completions.body(request, self._config, self._examples, self._dialect, form)
        try:
            async with asyncio.timeout(self._endpoint.timeout_seconds):
                response = await client.post("chat/completions", json=content)
        except (TimeoutError, httpx.TimeoutException):
            return _Reply(0, f"no answer in {self._endpoint.timeout_seconds:g} s", "timeout")
        except httpx.RequestError as error:
            return _Reply(0, f"{type(error).__name__}: {error}")
        reason = "rate_limited" if response.status_code == 429 else "unavailable"
        return _Reply(response.status_code, response.text, reason, _seconds(response.headers.get("retry-after")))

    def _served(self, text: str, request: Request, form: int) -> Generation:
        """The completion in a reply; what it tells of the endpoint is remembered, and said once."""
        if request.schema and self._dialect.accepted(form):
            log.warning("%s knows no %s; asking for %s", self._endpoint.url, FORMS[0], FORMS[form])
        if self._counts and not chat_completions.reports_usage(text):
            log.warning("%s reports no usage; its tokens are estimated", self._endpoint.url)
            self._counts = False
        return chat_completions.generation(text, request, self._examples + request.text)

    def _told(self, reply: _Reply) -> str:
        """A failure in words, without the key, which some endpoints repeat."""
        text = reply.text.replace(self._key, "***") if self._key else reply.text
        return f"HTTP {reply.status}: {text[:200]}" if reply.status else text

    def _explain(self) -> str:
        where = f"generator.endpoint {self._endpoint.url}, model {self._config.model!r}"
        if self._health.refusal:
            return (
                f"{where}: {self._health.refusal} ({self._health.last}). Check the environment variable "
                f"{self._endpoint.api_key_variable}, generator.model and generator.endpoint.url."
            )
        return (
            f"{where}: no request was answered; the last failure: {self._health.last}. "
            "Is it up and reachable from the worker?"
        )


def _key(url: str, variable: str) -> str:
    """The key in an environment variable; a server on this machine needs none. Raises ModelError, never with it."""
    key = os.environ.get(variable, "").strip()
    if not key and not url.startswith(("http://127.", "http://localhost", "http://[::1]")):
        raise ModelError(
            f"generator.endpoint: {url} needs a key; set the environment variable {variable} where the Ray task runs "
            "(to any word for an endpoint that asks for none)"
        )
    if not (key.isascii() and key.isprintable()):
        raise ModelError(f"the environment variable {variable} is no key: it holds more than printable ASCII")
    return key


def _wait(attempt: int, asked: float, chance: random.Random) -> float:
    """Seconds before the next try: what the endpoint asks for, or exponential with jitter; never too long."""
    grown = FIRST_WAIT * 2**attempt * (0.5 + chance.random())
    return min(LONGEST_WAIT, max(asked, grown))


def _seconds(header: str | None) -> float:
    """Seconds of a Retry-After header, a number or a date; 0 where it has neither."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(str(header)) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
