"""Any OpenAI-compatible endpoint as a generator: limits kept, failures bounded, every request accounted for.

One request to the endpoint per prompt, many under way at once. What may pass (429, 5xx, time-outs, broken
connections) is tried again with growing waits, at most `endpoint.attempts` times; what will not (a wrong key, an
unknown model) ends the task at once. An answer that is cut off is not asked for again here: it comes back with its
reason, and the caller's second attempt is the only other one.
"""

import asyncio
import hashlib
import json
import logging
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray_tasks.generation.protocol import Generation, Request
from ray_tasks.generation.rate_limit import RateLimit
from schemas.config import Generator as GeneratorConfig
from schemas.errors import ModelError

log = logging.getLogger("nightrec.generation")

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before the second try, doubled from try to try, and the longest wait, whatever the endpoint asks for."""

GIVE_UP = 20
"""After so many requests in a row without any answer the endpoint counts as down, and no more are sent."""

PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))
HOPELESS = {401: "refuses the key", 403: "refuses the key", 404: "knows no such model or path"}


def estimate_tokens(text: str) -> int:
    """Tokens of a text before anything is sent: a quarter of its characters, rounded up."""
    return -(-len(text) // 4)


def endpoint_revision(config: GeneratorConfig) -> str:
    """SHA-256 of URL and model name. What an endpoint serves under a name cannot be seen from outside."""
    return hashlib.sha256(f"{config.endpoint.url}\0{config.model}".encode()).hexdigest()


@dataclass
class _Call:
    """What became of the requests of one `generate`."""

    unanswered: int = 0
    answered: int = 0
    hopeless: str = ""
    last: str = ""
    chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - jitter is no secret

    @property
    def is_down(self) -> bool:
        return bool(self.hopeless) or self.unanswered >= GIVE_UP


class OpenAIGenerator:
    """Completes prompts by chat completions with a JSON schema as the form of the answer."""

    def __init__(
        self,
        config: GeneratorConfig,
        examples: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`examples` become the system message, the same for all, so that providers can cache it.

        Raises ModelError when the key's environment variable is needed and absent: set it, or name another one.
        """
        self._config, self._endpoint, self._examples, self._sleep = config, config.endpoint, examples, sleep
        self._key = os.environ.get(self._endpoint.api_key_variable, "")
        self._schema_is_known = True
        local = self._endpoint.url.startswith(("http://127.", "http://localhost", "http://[::1]"))
        if not self._key and not local:
            raise ModelError(
                f"generator.endpoint: {self._endpoint.url} needs a key; set the environment variable "
                f"{self._endpoint.api_key_variable} where the Ray task runs"
            )

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Complete all requests. Raises ModelError when the endpoint answers none of them, or refuses the key."""
        return asyncio.run(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Generation]:
        import httpx

        call = _Call()
        limit = RateLimit(self._endpoint.requests_per_minute, self._endpoint.tokens_per_minute, self._sleep)
        slots = asyncio.Semaphore(self._endpoint.concurrency)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        async with httpx.AsyncClient(
            base_url=self._endpoint.url.rstrip("/") + "/",
            headers=headers,
            timeout=self._endpoint.timeout_seconds,
            limits=httpx.Limits(max_connections=self._endpoint.concurrency),
        ) as client:

            async def one(request: Request) -> Generation:
                async with slots:
                    return await self._one(client, request, limit, call)

            found = await asyncio.gather(*(one(request) for request in requests))
        if call.hopeless or (requests and not call.answered):
            raise ModelError(self._explain(call))
        return list(found)

    async def _one(self, client: Any, request: Request, limit: RateLimit, call: _Call) -> Generation:
        """One answer, in as many tries as it takes and may take."""
        import httpx

        reason = "unavailable"
        cost = estimate_tokens(self._examples + request.text) + self._config.max_new_tokens
        for attempt in range(self._endpoint.attempts):
            if call.is_down:
                break
            await limit.wait(cost)
            asked = 0.0
            try:
                response = await client.post("chat/completions", json=self._body(request))
            except httpx.TimeoutException:
                reason, call.last = "timeout", f"no answer in {self._endpoint.timeout_seconds:g} s"
            except httpx.TransportError as error:
                reason, call.last = "unavailable", f"{type(error).__name__}: {error}"
            else:
                if response.status_code == 200:
                    call.unanswered, call.answered = 0, call.answered + 1
                    return self._answer(response, request)
                call.last = f"HTTP {response.status_code}: {response.text[:200]}"
                if response.status_code in HOPELESS:
                    call.hopeless = HOPELESS[response.status_code]
                    break
                if response.status_code == 400 and request.schema and self._schema_is_known:
                    # Not every server knows schemas: from now on the prompt's examples alone show the form.
                    log.warning("%s refuses json_schema (%s); asking for json_object", self._endpoint.url, call.last)
                    self._schema_is_known = False
                    continue
                if response.status_code not in PASSING:
                    call.answered += 1  # it works; it is this request that it will not serve
                    return Generation("", 0, 0, "refused")
                reason = "rate_limited" if response.status_code == 429 else "unavailable"
                asked = _seconds(response.headers.get("retry-after"))
            if attempt + 1 < self._endpoint.attempts:
                await self._sleep(_wait(attempt, asked, call.chance))
        call.unanswered += 1
        return Generation("", 0, 0, reason)

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._config.model,
            "messages": [
                {"role": "system", "content": self._examples.strip()},
                {"role": "user", "content": request.text},
            ],
            "max_tokens": self._config.max_new_tokens,
            "temperature": 0 if request.seed is None else self._config.temperature,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.schema:
            form = {"name": "profile", "strict": True, "schema": json.loads(request.schema)}
            body["response_format"] = (
                {"type": "json_schema", "json_schema": form} if self._schema_is_known else {"type": "json_object"}
            )
        return body

    def _answer(self, response: Any, request: Request) -> Generation:
        """The text of a response, or `unparsable` or `truncated`, with the tokens that it cost."""
        try:
            found = response.json()
            choice = found["choices"][0]
            text = str(choice["message"]["content"] or "")
            used = found.get("usage") or {}
        except (ValueError, KeyError, IndexError, TypeError):
            return Generation(response.text[:2_000], estimate_tokens(request.text), 0, "unparsable")
        read = int(used.get("prompt_tokens") or estimate_tokens(self._examples + request.text))
        written = int(used.get("completion_tokens") or estimate_tokens(text))
        error = None
        if choice.get("finish_reason") == "length":
            error = "truncated"
        elif request.schema and not _is_json(text):
            error = "unparsable"
        return Generation(text, read, written, error)

    def _explain(self, call: _Call) -> str:
        where = f"generator.endpoint {self._endpoint.url}, model {self._config.model!r}"
        if call.hopeless:
            return (
                f"{where}: it {call.hopeless} ({call.last}). Check the environment variable "
                f"{self._endpoint.api_key_variable}, generator.model and generator.endpoint.url."
            )
        return (
            f"{where}: no request was answered; the last failure: {call.last}. Is it up and reachable from the worker?"
        )


def _wait(attempt: int, asked: float, chance: random.Random) -> float:
    """Seconds before the next try: what the endpoint asks for, or exponential with jitter; never too long."""
    grown = FIRST_WAIT * 2**attempt * (0.5 + chance.random())
    return min(LONGEST_WAIT, max(asked, grown))


def _seconds(header: str | None) -> float:
    """Seconds of a Retry-After header; 0 where it has none (or a date, which few endpoints send)."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
