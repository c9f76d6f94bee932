"""The OpenAI-compatible backend against an endpoint that fails: nothing is lost, and tries are bounded."""

import math
import threading

import pytest
from flaky_endpoint import FAILURES, GOOD, SCHEMA, TRANSIENT, FlakyEndpoint, config, errors, generator, requests, seeded

from ray_tasks.generation import rate_limit
from ray_tasks.generation.openai_backend import (
    GIVE_UP,
    SCOUTS,
    OpenAIGenerator,
    endpoint_revision,
    estimate_tokens,
)
from ray_tasks.generation.protocol import Request
from schemas.errors import ModelError


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.delenv("NIGHTREC_LLM_API_KEY", raising=False)
    monkeypatch.setattr(rate_limit, "FIRST_WAIT", 0.01)


class Time:
    """Seconds that pass only where somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.naps = 0.0, []

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def test_every_request_ends_with_an_answer_or_a_reason_and_tries_are_bounded():
    endpoint, asked = FlakyEndpoint(seeded(0.5, FAILURES)), requests(200)
    with endpoint.running() as url:
        found = generator(url, timeout_seconds=1.5).generate(asked)
    assert len(found) == len(asked)
    good = [one for one in found if one.error is None]
    assert {(one.text, one.prompt_tokens, one.output_tokens) for one in good} == {(GOOD, 50, 20)}
    assert len(good) > 100
    assert set(errors(found)) - {None} <= {"timeout", "unavailable", "rate_limited", "truncated", "unparsable"}
    assert set(endpoint.tries) == {request.text for request in asked}
    assert max(endpoint.tries.values()) <= 3


def test_where_nothing_times_out_the_requests_are_exactly_those_that_the_failures_ask_for():
    plan, asked = seeded(0.5, [*TRANSIENT, "cut", "short"]), requests(200)
    expected, tries = {}, {}
    for request in asked:
        seen = [plan(request.text, number) for number in (1, 2, 3)]
        ends = [number for number, what in enumerate(seen, 1) if what not in TRANSIENT]
        tries[request.text] = min([*ends, 3])
        last = seen[tries[request.text] - 1]
        expected[request.text] = {200: None, "cut": "unparsable", "short": "truncated", 429: "rate_limited"}.get(
            last, "unavailable"
        )
    endpoint = FlakyEndpoint(plan)
    with endpoint.running() as url:
        found = generator(url).generate(asked)
    assert errors(found) == list(expected.values())
    assert endpoint.tries == tries
    assert endpoint.most_under_way <= 8


def test_as_many_requests_as_allowed_are_under_way_and_never_more():
    together = threading.Barrier(8, timeout=60)

    def plan(prompt, number):
        if not prompt.endswith("000"):  # the first one goes alone
            together.wait()
        return 200

    endpoint = FlakyEndpoint(plan)
    with endpoint.running() as url:
        assert errors(generator(url).generate(requests(1 + 5 * 8))) == [None] * 41
    assert endpoint.most_under_way == 8


def test_answers_come_in_the_order_of_the_requests():
    def plan(prompt, number):
        return {"usage": {"prompt_tokens": int(prompt[-3:]) + 1, "completion_tokens": 2}}

    with FlakyEndpoint(plan).running() as url:
        found = generator(url).generate(requests(40))
    assert [one.prompt_tokens for one in found] == list(range(1, 41))


def test_what_passes_is_tried_again_and_what_is_cut_off_is_not():
    def plan(prompt, number):
        return 200 if number == 3 else (429, "reset")[number - 1] if prompt.endswith("0") else "half"

    endpoint = FlakyEndpoint(plan)
    with endpoint.running() as url:
        assert errors(generator(url).generate(requests(2))) == [None, "unparsable"]
    assert sorted(endpoint.tries.values()) == [1, 3]


def test_a_request_that_is_never_answered_stops_no_other_one_not_even_when_it_is_asked_alone():
    endpoint = FlakyEndpoint(lambda prompt, number: 503 if prompt.endswith("7") else 200)
    with endpoint.running() as url:
        client = generator(url)
        assert errors(client.generate(requests(10))) == ["unavailable" if n == 7 else None for n in range(10)]
        assert errors(client.generate(requests(10)[7:8])) == ["unavailable"]
    assert endpoint.requests == 9 + 2 * 3


def test_an_answer_that_trickles_in_for_ever_is_a_time_out():
    endpoint = FlakyEndpoint(lambda prompt, number: "drip" if prompt.endswith("1") else 200)
    with endpoint.running() as url:
        assert errors(generator(url, timeout_seconds=1, attempts=2).generate(requests(3))) == [None, "timeout", None]


def test_an_endpoint_that_is_down_costs_a_few_requests():
    endpoint = FlakyEndpoint(lambda prompt, number: 503)
    with endpoint.running() as url, pytest.raises(ModelError, match=r"no request was answered; .*HTTP 503"):
        generator(url).generate(requests(200))
    assert endpoint.requests == SCOUTS * 3


def test_an_endpoint_that_goes_down_is_left_alone_after_a_while_and_asked_again_later():
    is_up = True
    endpoint = FlakyEndpoint(lambda prompt, number: 200 if is_up else 503)
    with endpoint.running() as url:
        client = generator(url)
        client.generate(requests(5))
        is_up, before = False, endpoint.requests
        assert errors(client.generate(requests(200))) == ["unavailable"] * 200  # an answer earlier: it may come back
        assert endpoint.requests - before <= (GIVE_UP + 8) * 3
        before = endpoint.requests
        assert errors(client.generate(requests(200))) == ["unavailable"] * 200
        assert endpoint.requests - before == SCOUTS * 3
        is_up = True
        assert errors(client.generate(requests(5))) == [None] * 5


@pytest.mark.parametrize("status", [400, 402, 403, 404, 429, 500, "reset"])
@pytest.mark.parametrize("n", [1, 30])
def test_a_call_in_which_all_fails_raises_nothing_once_the_endpoint_has_answered(status, n):
    is_up = True
    with FlakyEndpoint(lambda prompt, number: 200 if is_up else status).running() as url:
        client = generator(url)
        client.generate(requests(1))
        is_up = False
        for _ in range(2):
            found = client.generate(requests(n))
            assert len(found) == n
            assert all(one.error and (one.prompt_tokens, one.output_tokens) == (0, 0) for one in found)


@pytest.mark.parametrize("n", [1, 30])
def test_a_key_that_is_revoked_later_is_told_as_soon_as_nothing_is_answered(n):
    is_valid = True
    with FlakyEndpoint(lambda prompt, number: 200 if is_valid else 401).running() as url:
        client = generator(url)
        client.generate(requests(1))
        is_valid = False
        for _ in range(2):
            with pytest.raises(ModelError, match="refuses the key"):
                client.generate(requests(n))


def test_nobody_at_the_address_is_a_clear_error():
    with pytest.raises(ModelError, match="Is it up and reachable"):
        generator("http://127.0.0.1:9/v1").generate(requests(1))


@pytest.mark.parametrize(
    ("status", "told", "sent"),
    [(401, "refuses the key", 1), (404, "no such model", 1), (403, "refuses the key or the model", SCOUTS)],
)
def test_what_no_retry_mends_ends_at_once(status, told, sent, monkeypatch):
    monkeypatch.setenv("NIGHTREC_LLM_API_KEY", "sk-very-secret\n")
    endpoint = FlakyEndpoint(lambda prompt, number: status)
    with endpoint.running() as url, pytest.raises(ModelError, match=told) as raised:
        generator(url).generate(requests(50))
    assert endpoint.requests == sent
    assert all(part in str(raised.value) for part in (url, "'some-model'", "NIGHTREC_LLM_API_KEY"))
    assert set(endpoint.keys) == {"Bearer sk-very-secret"}
    assert "sk-very-secret" not in str(raised.value)  # though the endpoint repeats it
    assert "with Bearer ***" in str(raised.value)


def test_one_request_that_a_moderator_refuses_is_no_matter_of_the_key():
    endpoint = FlakyEndpoint(lambda prompt, number: 403 if prompt.endswith(("0", "5")) else 200)
    with endpoint.running() as url:
        found = generator(url).generate(requests(10))
    assert errors(found) == ["refused" if n % 5 == 0 else None for n in range(10)]
    assert set(endpoint.tries.values()) == {1}


def test_a_key_that_is_revoked_half_way_is_not_tried_for_ever():
    endpoint = FlakyEndpoint(lambda prompt, number: 200 if prompt.endswith("000") else 401)
    with endpoint.running() as url:
        client = generator(url)
        assert errors(client.generate(requests(200))).count(None) == 1
        assert endpoint.requests <= 1 + GIVE_UP + 8
        with pytest.raises(ModelError, match="refuses the key"):
            client.generate(requests(200)[1:])


def test_the_first_attempt_is_greedy_and_the_second_has_its_seed():
    endpoint = FlakyEndpoint(lambda prompt, number: 200)
    with endpoint.running() as url:
        generator(url).generate([Request("a", SCHEMA), Request("b", SCHEMA, seed=7)])
    bodies = {body["messages"][-1]["content"]: body for body in endpoint.bodies}
    assert (bodies["a"]["temperature"], "seed" in bodies["a"]) == (0, False)
    assert (bodies["b"]["temperature"], bodies["b"]["seed"]) == (0.7, 7)
    assert {body["messages"][0]["content"] for body in endpoint.bodies} == {"Examples"}


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>Welcome</html>",
        b"\xff\xfe",
        b"[]",
        b'{"choices": null}',
        b'{"choices": [{"message": {"content": ["x"]}}]}',
        b"[" * 100_000,
    ],
)
def test_a_reply_of_another_kind_is_unparsable(reply):
    with FlakyEndpoint(lambda prompt, number: reply).running() as url:
        assert errors(generator(url).generate(requests(2))) == ["unparsable"] * 2


@pytest.mark.parametrize("usage", [None, "much", {"prompt_tokens": "50"}, {}, {"prompt_tokens": math.inf}])
def test_tokens_are_estimated_where_the_endpoint_counts_none(usage, caplog):
    with FlakyEndpoint(lambda prompt, number: {"usage": usage}).running() as url:
        first, _ = generator(url).generate(requests(2))
    assert first.prompt_tokens == estimate_tokens("Examples" + requests(1)[0].text) == 8
    assert first.output_tokens == estimate_tokens(GOOD)
    assert [record.message for record in caplog.records].count(f"{url} reports no usage; its tokens are estimated") == 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7), ("86400", 30), ("Fri, 31 Dec 2100 23:59:59 GMT", 30), ("soon", 0), ("-5", 0)],
)
def test_the_wait_that_an_endpoint_asks_for_is_kept_by_all_but_not_for_ever(header, expected):
    time = Time()
    endpoint = FlakyEndpoint(lambda prompt, number: 429 if number == 1 else 200, header)
    with endpoint.running() as url:
        client = OpenAIGenerator(config(url), "Examples", time.sleep, time.clock)
        assert errors(client.generate(requests(1))) == [None]
    assert time.now == pytest.approx(expected, abs=0.02)


def test_requests_per_minute_are_kept_from_call_to_call():
    time, endpoint = Time(), FlakyEndpoint(lambda prompt, number: 200)
    with endpoint.running() as url:
        client = OpenAIGenerator(config(url, requests_per_minute=60, concurrency=1), "Examples", time.sleep, time.clock)
        for _ in range(3):
            client.generate(requests(4))
    assert time.now == pytest.approx(11)  # twelve requests, a second apart


def test_tokens_per_minute_are_kept():
    time, endpoint = Time(), FlakyEndpoint(lambda prompt, number: 200)
    each = estimate_tokens("Examples" + requests(1)[0].text) + 128
    with endpoint.running() as url:
        settings = config(url, tokens_per_minute=each * 30, requests_per_minute=1_000, concurrency=1)
        OpenAIGenerator(settings, "Examples", time.sleep, time.clock).generate(requests(4))
    assert time.now == pytest.approx(6)


def test_the_revision_names_url_and_model():
    one = config("http://127.0.0.1:1/v1")
    others = [config("http://127.0.0.1:2/v1"), one.model_copy(update={"model": "other"})]
    assert len({endpoint_revision(each) for each in (one, *others)}) == 3
    assert endpoint_revision(one) == endpoint_revision(one.model_copy(update={"batch_size": 7}))
