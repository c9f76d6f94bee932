"""Any OpenAI-compatible endpoint as a generator: limits kept, failures bounded, every request accounted for.

One request to the endpoint per prompt, many under way at once. What may pass (429, 5xx, time-outs, broken
connections) is tried again with growing waits, at most `endpoint.attempts` times. A refusal that teaches how the
endpoint wants to be asked (400 or 422, then another form) is no try; a prompt takes `LESSONS` requests more than it has
tries at most. An answer that is cut off is not asked for again here: it comes back with its reason, and the caller's
second attempt is the only other one.

Until the endpoint has answered once, requests go one at a time: the first one learns what the endpoint understands
and fills the provider's prompt cache, and a wrong key or an endpoint that is down costs a few requests, not hundreds.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ray_tasks.generation import chat_completions
from ray_tasks.generation.api_key import HINT, ApiKey
from ray_tasks.generation.chat_completions import FORMS, Dialect, estimate_tokens
from ray_tasks.generation.protocol import UNSERVED, Generation, Request
from ray_tasks.generation.rate_limit import RateLimit, retry_after, wait_before
from schemas.errors import ModelError
from schemas.generation_config import Generator as GeneratorConfig

__all__ = ["OpenAIGenerator", "endpoint_revision", "estimate_tokens"]

log = logging.getLogger("nightrec.generation")

SCOUTS, GIVE_UP = 3, 20
"""So many requests in a row without an answer, before and after the first answer, and the endpoint counts as down."""

LESSONS = len(FORMS) - 1
"""Requests beyond the tries that a prompt may take to learn what the endpoint understands."""

TOLD = 200
"""Characters of an endpoint's words in an error."""

PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))
NO_KEY = 401
REFUSES = {
    NO_KEY: "it refuses the key",
    402: "it wants to be paid",
    403: "it refuses the key or the model",
    404: "it knows no such model or path",
}
HOPELESS = frozenset((NO_KEY, 404))
NOT_UNDERSTOOD = frozenset((400, 422))


def endpoint_revision(config: GeneratorConfig) -> str:
    """SHA-256 of URL and model name. What an endpoint serves under a name cannot be seen from outside.

    `system_fingerprint` comes with an answer, too late for a key that decides whether to ask.
    """
    return hashlib.sha256(f"{config.endpoint.url}\0{config.model}".encode()).hexdigest()


@dataclass
class _Health:
    """What is known of the endpoint.

    `has_answered` is for good; the rest is of the call under way: `silent` counts requests in a row without an answer,
    `status` and `last` are the last failure, or that of the key once it is refused.
    """

    has_answered: bool = False
    is_proven: bool = False
    answers: int = 0
    silent: int = 0
    status: int = 0
    last: str = "nothing was sent"

    @property
    def is_down(self) -> bool:
        return self.silent >= (GIVE_UP if self.is_proven else SCOUTS)

    def begin(self) -> None:
        """A new call. An endpoint that was down is as good as unknown."""
        if self.is_down:
            self.is_proven, self.silent = False, 0
        self.answers = self.status = 0

    def answered(self) -> None:
        self.has_answered = self.is_proven = True
        self.answers, self.silent = self.answers + 1, 0

    def failed(self, status: int, told: str) -> None:
        """A prompt ends without an answer. A refusal before the first answer speaks of all, later of this one."""
        if self.status != NO_KEY:
            self.status, self.last = status, told
        if status in HOPELESS and not self.is_proven:
            self.silent = SCOUTS
        elif not self.is_proven or status in REFUSES or status in PASSING or not status:
            self.silent += 1


@dataclass(frozen=True)
class _Reply:
    """What one request came to: a status of HTTP, or 0; `wait` is the seconds that the endpoint asks for."""

    status: int = 0
    text: str = ""
    error: str = "unavailable"
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
        self._key = ApiKey.of(self._endpoint.url, self._endpoint.api_key_variable)
        self._limit = RateLimit(self._endpoint.requests_per_minute, self._endpoint.tokens_per_minute, sleep, clock)
        self._chance = random.Random(0)  # noqa: S311 - jitter is no secret
        self._dialect, self._health, self._counts = Dialect(), _Health(), True

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Complete all requests: one Generation each, in order, whatever becomes of it.

        Raises ModelError when the key is refused (401) and nothing of this call was answered, and when an endpoint
        that has never answered is down. One that has answered before is taken to come back: what it leaves unanswered
        has its `error`, so that a caller keeps what it has paid for. No later request is sent to an endpoint that is
        down; the next call tries it again, with a few.
        """
        return asyncio.run(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Generation]:
        import httpx

        self._health.begin()
        slots = asyncio.Semaphore(self._endpoint.concurrency)
        async with httpx.AsyncClient(
            base_url=self._endpoint.url.rstrip("/") + "/",
            headers=self._key.headers,
            timeout=self._endpoint.timeout_seconds,
            limits=httpx.Limits(max_connections=self._endpoint.concurrency),
        ) as client:

            async def one(request: Request) -> Generation:
                async with slots:
                    return await self._one(client, request)

            found: list[Generation] = []
            while len(found) < len(requests) and not (self._health.is_proven or self._health.is_down):
                found.append(await one(requests[len(found)]))
            found += await asyncio.gather(*(one(request) for request in requests[len(found) :]))
        if found and self._is_hopeless(found):
            raise ModelError(self._explain())
        return found

    async def _one(self, client: Any, request: Request) -> Generation:
        """One prompt's way to its answer, in as many requests as it takes and may take."""
        form, tries, reply = self._dialect.form, 0, _Reply()
        for _ in range(self._endpoint.attempts + LESSONS):
            if self._health.is_down:
                return Generation("", 0, 0, reply.error)
            await self._limit.wait(estimate_tokens(self._examples + request.text) + self._config.max_new_tokens)
            body = chat_completions.body(request, self._config, self._examples, self._dialect, form)
            reply = await self._send(client, body)
            if reply.status == 200:
                return self._served(reply.text, request, form)
            weaker = self._dialect.weaker(form, body, reply.text) if reply.status in NOT_UNDERSTOOD else None
            if weaker is not None:
                form = weaker
                continue
            tries += 1
            self._limit.hold(reply.wait)
            if tries == self._endpoint.attempts or (reply.status and reply.status not in PASSING):
                break
            await self._sleep(wait_before(tries + 1, reply.wait, self._chance))
        self._health.failed(reply.status, self._told(reply))
        return Generation("", 0, 0, reply.error)

    async def _send(self, client: Any, body: dict[str, Any]) -> _Reply:
        """One HTTP request. `timeout_seconds` is for the whole answer, however it trickles in."""
        import httpx

        try:
            async with asyncio.timeout(self._endpoint.timeout_seconds):
                response = await client.post("chat/completions", json=body)
        except (TimeoutError, httpx.TimeoutException):
            return _Reply(0, f"no answer in {self._endpoint.timeout_seconds:g} s", "timeout")
        except httpx.RequestError as error:
            return _Reply(0, f"{type(error).__name__}: {error}")
        status, wait = response.status_code, retry_after(response.headers.get("retry-after"))
        kind = "rate_limited" if status == 429 else "unavailable" if status in PASSING else "refused"
        return _Reply(status, response.text, kind, wait)

    def _served(self, text: str, request: Request, form: int) -> Generation:
        """The completion in a reply; what it tells of the endpoint is remembered, and said once."""
        self._health.answered()
        url = self._key.hide(self._endpoint.url)
        if request.schema and self._dialect.accepted(form):
            log.warning("%s knows no %s; asking for %s", url, FORMS[0], FORMS[form])
        if self._counts and not chat_completions.reports_usage(text):
            log.warning("%s reports no usage; its tokens are estimated", url)
            self._counts = False
        found = chat_completions.generation(text, request, self._examples + request.text)
        return replace(found, text=self._key.hide(found.text))

    def _told(self, reply: _Reply) -> str:
        """A failure in words, without the key, which some endpoints repeat, in part or encoded."""
        text = self._key.hide(reply.text, HINT)[:TOLD]
        return f"HTTP {reply.status}: {text}" if reply.status else text

    def _is_hopeless(self, found: Sequence[Generation]) -> bool:
        """Whether a call without any answer says that the next ones would have none either."""
        if self._health.answers:
            return False
        if self._health.has_answered:
            return self._health.status == NO_KEY
        return self._health.is_down or all(generation.error in UNSERVED for generation in found)

    def _explain(self) -> str:
        health = self._health
        where = f"generator.endpoint {self._key.hide(self._endpoint.url)}, model {self._config.model!r}"
        if health.status in REFUSES:
            return (
                f"{where}: {REFUSES[health.status]} ({health.last}). Check the environment variable "
                f"{self._endpoint.api_key_variable}, generator.model and generator.endpoint.url."
            )
        return (
            f"{where}: no request was answered; the last failure: {health.last}. "
            "Is it up and reachable from the worker?"
        )
