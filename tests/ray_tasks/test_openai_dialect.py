"""What an OpenAI-compatible endpoint understands is learnt from its refusals, in few requests."""

import threading
from collections import Counter

import pytest
from flaky_endpoint import SCHEMA, FlakyEndpoint, errors, generator, requests

from ray_tasks.generation import rate_limit
from ray_tasks.generation.openai_backend import LESSONS
from ray_tasks.generation.protocol import Request


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.delenv("NIGHTREC_LLM_API_KEY", raising=False)
    monkeypatch.setattr(rate_limit, "FIRST_WAIT", 0.01)


class Knows(FlakyEndpoint):
    """Refuses forms of answers that it does not know."""

    def __init__(self, *forms: str) -> None:
        super().__init__(lambda prompt, number: 200)
        self.forms = forms

    def decide(self, body, number):
        return 200 if self.form(body) in self.forms else 400

    @staticmethod
    def form(body) -> str:
        return body.get("response_format", {"type": "text"})["type"]


@pytest.mark.parametrize(
    ("known", "sent"),
    [
        (("json_schema",), ["json_schema"] * 12),
        (("json_object",), ["json_schema", *["json_object"] * 12]),
        (("text",), ["json_schema", "json_object", *["text"] * 12]),
    ],
)
def test_a_server_that_knows_no_schemas_is_asked_for_what_it_knows(known, sent):
    endpoint = Knows(*known)
    with endpoint.running() as url:
        assert errors(generator(url).generate(requests(12))) == [None] * 12
    assert [endpoint.form(body) for body in endpoint.bodies] == sent
    shown = [body["messages"][-1]["content"].startswith("Answer with one line of JSON") for body in endpoint.bodies]
    assert shown == [form != "json_schema" for form in sent]


def test_one_request_that_is_refused_makes_no_other_one_do_without_its_schema():
    class Picky(Knows):
        def decide(self, body, number):
            return 400 if "003" in body["messages"][-1]["content"] else super().decide(body, number)

    endpoint = Picky("json_schema")
    with endpoint.running() as url:
        client = generator(url)
        assert errors(client.generate(requests(8))) == ["refused" if n == 3 else None for n in range(8)]
        assert errors(client.generate(requests(3))) == [None] * 3
    assert [endpoint.form(body) for body in endpoint.bodies[-3:]] == ["json_schema"] * 3
    assert endpoint.requests == 7 + 3 + 3


@pytest.mark.parametrize("refusal", [400, 422])
@pytest.mark.parametrize("known", ["json_schema", "json_object", "text"])
@pytest.mark.parametrize("first", [[], [Request("plain")]])
def test_learning_what_an_endpoint_knows_is_no_try_also_when_many_learn_at_once(refusal, known, first):
    class Strict(Knows):
        def decide(self, body, number):
            return (
                200 if body["messages"][-1]["content"] == "plain" else {400: refusal}.get(super().decide(body, 1), 200)
            )

    endpoint = Strict(known)
    with endpoint.running() as url:  # the plain one proves the endpoint, so that the others come eight at a time
        found = generator(url, attempts=1).generate([*first, *requests(12)])
    assert errors(found) == [None] * len(found)
    assert max(Counter(body["messages"][-1]["content"][-3:] for body in endpoint.bodies).values()) <= 1 + LESSONS


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_prompt_takes_so_many_lessons_at_most_and_its_tries_beside_them(attempts):
    learnt = {"json_schema": 400, "json_object": 422, "text": 503}

    class Tiresome(Knows):
        def decide(self, body, number):
            return 200 if body["messages"][-1]["content"] == "plain" else learnt[self.form(body)]

    endpoint = Tiresome()
    with endpoint.running() as url:
        found = generator(url, attempts=attempts).generate([Request("plain"), *requests(1)])
    assert errors(found) == [None, "unavailable"]
    assert endpoint.requests == 1 + attempts + LESSONS


def test_a_parameter_that_many_learn_at_once_to_leave_out_costs_none_of_them_its_schema():
    together = threading.Barrier(8, timeout=60)

    class Modern(FlakyEndpoint):
        def decide(self, body, number):
            if "seed" not in body:
                return 200
            together.wait()
            return {"error": {"message": "no", "param": "seed", "code": "unsupported_parameter"}}

    endpoint = Modern(lambda prompt, number: 200)
    with endpoint.running() as url:
        found = generator(url, attempts=1).generate(
            [Request("first", SCHEMA), *(Request(str(n), SCHEMA, seed=n) for n in range(8))]
        )
    assert errors(found) == [None] * 9
    assert endpoint.requests == 1 + 2 * 8
    assert {Knows.form(body) for body in endpoint.bodies} == {"json_schema"}


def test_parameters_that_a_model_refuses_are_replaced_or_left_out():
    class Modern(FlakyEndpoint):
        def decide(self, body, number):
            wrong = [name for name in ("max_tokens", "temperature") if name in body]
            code = {"max_tokens": "unsupported_parameter", "temperature": "unsupported_value"}
            return {"error": {"message": "no", "param": wrong[0], "code": code[wrong[0]]}} if wrong else 200

    endpoint = Modern(lambda prompt, number: 200)
    with endpoint.running() as url:
        assert errors(generator(url).generate([*requests(4), Request("plain", seed=3)])) == [None] * 5
    assert endpoint.requests == 5 + 2
    assert endpoint.bodies[-1]["max_completion_tokens"] == 128
    assert {Knows.form(body) for body in endpoint.bodies if "plain" not in str(body)} == {"json_schema"}
