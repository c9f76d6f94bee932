"""The OpenAI-compatible backend against an endpoint that fails: nothing is lost, and tries are bounded."""

import asyncio
import random

import pytest
from flaky_endpoint import GOOD, FlakyEndpoint

from ray_tasks.generation import openai_backend
from ray_tasks.generation.openai_backend import GIVE_UP, OpenAIGenerator
from ray_tasks.generation.protocol import Request
from ray_tasks.generation.rate_limit import RateLimit
from ray_tasks.profiles.evidence import Evidence, Piece
from ray_tasks.profiles.plan import Entity
from ray_tasks.profiles.wire import to_wire
from ray_tasks.profiles.writer import ATTEMPTS, ProfileWriter
from schemas.config import Endpoint, Generator
from schemas.errors import ModelError

SCHEMA = '{"type": "object"}'
FAILURES = [429, 500, 503, "slow", "cut", "half", "broken", "short", "words"]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(openai_backend, "FIRST_WAIT", 0.01)


def generator(url: str, **endpoint) -> OpenAIGenerator:
    settings = {"timeout_seconds": 30, "concurrency": 8, "attempts": 3, **endpoint}
    config = Generator(backend="openai", model="some-model", path="x", endpoint=Endpoint(url=url, **settings))
    return OpenAIGenerator(config, "Examples")


def requests(n: int) -> list[Request]:
    return [Request(f"Movie: Stone River {number:03d}", SCHEMA) for number in range(n)]


def seeded(share: float):
    """A plan by which so large a share of the tries fails, each in its own way."""

    def plan(prompt: str, number: int):
        chance = random.Random(f"{prompt}-{number}")
        return chance.choice(FAILURES) if chance.random() < share else 200

    return plan


def test_every_request_ends_with_an_answer_or_a_reason_and_tries_are_bounded():
    endpoint, asked = FlakyEndpoint(seeded(0.5)), requests(200)
    with endpoint.running() as url:
        found = generator(url, timeout_seconds=0.4).generate(asked)
    assert len(found) == len(asked)
    good = [one for one in found if one.error is None]
    assert {one.text for one in good} == {GOOD}
    assert len(good) > 100
    reasons = {"timeout", "unavailable", "rate_limited", "truncated", "unparsable"}
    assert {one.error for one in found} - {None} <= reasons
    assert max(endpoint.tries.values()) <= 3
    assert set(endpoint.tries) == {request.text for request in asked}
    assert endpoint.most_under_way <= 8 + 8  # a request that timed out may still be served beside its next try


def test_answers_come_in_the_order_of_the_requests():
    def plan(prompt, number):
        return "short" if prompt.endswith(("3", "7")) else 200

    with FlakyEndpoint(plan).running() as url:
        found = generator(url).generate(requests(40))
    assert [one.error for one in found] == ["truncated" if n % 10 in (3, 7) else None for n in range(40)]


def test_what_passes_is_tried_again_and_what_is_cut_off_is_not():
    def plan(prompt, number):
        return 200 if number == 3 else (429, "broken")[number - 1] if prompt.endswith("0") else "half"

    endpoint = FlakyEndpoint(plan)
    with endpoint.running() as url:
        first, second = generator(url).generate(requests(2))
    assert (first.error, second.error) == (None, "unparsable")
    assert sorted(endpoint.tries.values()) == [1, 3]


def test_profiles_through_a_flaky_endpoint_are_all_written_or_rejected():
    def entity(number: int) -> Entity:
        lines = (f"Movie: Stone River {number:03d}", "Facts: Drama, river")
        found = Evidence(f"i{number:03d}", f"Stone River {number:03d}", lines, (Piece("facts", "Drama, river"),))
        return Entity(found, "recipe", f"key {number}")

    endpoint = FlakyEndpoint(seeded(0.6))
    with endpoint.running() as url:
        client = generator(url, timeout_seconds=0.4)
        writer = ProfileWriter("item", client._config, frozenset(), 1, client)
        (block,) = to_wire([entity(n) for n in range(60)], 60)
        rows = writer(block).to_pylist()
    last = {row["entity_id"]: row for row in rows}
    assert sorted(last) == [f"i{n:03d}" for n in range(60)]
    assert all((row["profile"] is None) == (row["reason"] is not None) for row in rows)
    assert sum(row["reason"] is None for row in last.values()) > 30
    assert endpoint.requests <= 60 * ATTEMPTS * 3


def test_an_endpoint_that_is_down_is_left_alone_after_a_while():
    endpoint = FlakyEndpoint(lambda prompt, number: 503)
    with endpoint.running() as url, pytest.raises(ModelError, match="no request was answered"):
        generator(url).generate(requests(200))
    assert endpoint.requests <= (GIVE_UP + 8) * 3


def test_nobody_at_the_address_is_a_clear_error():
    with pytest.raises(ModelError, match="Is it up and reachable"):
        generator("http://127.0.0.1:9/v1").generate(requests(1))


@pytest.mark.parametrize(
    ("status", "told"), [(401, "refuses the key"), (403, "refuses the key"), (404, "no such model")]
)
def test_what_no_retry_mends_ends_at_once(status, told, monkeypatch):
    monkeypatch.setenv("NIGHTREC_LLM_API_KEY", "sk-very-secret")
    endpoint = FlakyEndpoint(lambda prompt, number: status)
    with endpoint.running() as url, pytest.raises(ModelError, match=told) as raised:
        generator(url).generate(requests(50))
    assert endpoint.requests <= 8
    assert "sk-very-secret" not in str(raised.value)
    assert set(endpoint.keys) == {"Bearer sk-very-secret"}


def test_a_key_is_asked_for_before_anything_is_sent(monkeypatch):
    monkeypatch.delenv("NIGHTREC_LLM_API_KEY", raising=False)
    with pytest.raises(ModelError, match="set the environment variable NIGHTREC_LLM_API_KEY"):
        generator("https://llm.example.com/v1")


def test_a_server_that_knows_no_schemas_is_asked_for_plain_json():
    class Old(FlakyEndpoint):
        def _act(self, handler, what):
            super()._act(handler, 400 if self.bodies[-1]["response_format"]["type"] == "json_schema" else 200)

    endpoint = Old(lambda prompt, number: 200)
    with endpoint.running() as url:
        client = generator(url, concurrency=1)
        assert [one.error for one in client.generate(requests(3))] == [None] * 3
    assert [body["response_format"]["type"] for body in endpoint.bodies] == ["json_schema", *["json_object"] * 3]


def test_the_first_attempt_is_greedy_and_the_second_has_its_seed():
    endpoint = FlakyEndpoint(lambda prompt, number: 200)
    with endpoint.running() as url:
        generator(url).generate([Request("a", SCHEMA), Request("b", SCHEMA, seed=7)])
    bodies = {body["messages"][-1]["content"]: body for body in endpoint.bodies}
    assert (bodies["a"]["temperature"], "seed" in bodies["a"]) == (0, False)
    assert (bodies["b"]["temperature"], bodies["b"]["seed"]) == (0.7, 7)
    assert {body["messages"][0]["content"] for body in endpoint.bodies} == {"Examples"}


def test_requests_and_tokens_per_minute_are_kept():
    waits: list[float] = []
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    async def run(limit: RateLimit, calls: int) -> None:
        for _ in range(calls):
            await limit.wait(100)

    asyncio.run(run(RateLimit(60, None, sleep, lambda: now), 61))
    assert now == pytest.approx(60)
    started = now
    asyncio.run(run(RateLimit(600, 1_000, sleep, lambda: now), 11))
    assert now - started == pytest.approx(60)
