"""The key of an endpoint shows in no error, log line or answer, however an endpoint repeats it."""

import base64
import json
import logging
from urllib.parse import quote

import pytest
from flaky_endpoint import FlakyEndpoint, generator

from ray_tasks.generation.protocol import Request
from schemas.errors import ModelError

KEY = "sk-very-secret/+77"
REQUEST = Request("Movie: Stone River", '{"type": "object"}')


def echoes(key: str) -> dict[str, str]:
    """What endpoints and proxies make of a key in their answers."""
    coded = {
        start or "key": base64.b64encode(f"{start}{key}".encode()).decode() for start in ("", "Bearer ", ":", "ab")
    }
    forms = {"plain": f"Bearer {key}", "quoted": quote(f"Bearer {key}", safe=""), "json": key.replace("/", "\\/")}
    parts = {"starred": f"{key[:6]}********{key[-4:]}", "start": key[:8], "end": key[-8:], "cut": "x" * 190 + key}
    return {**forms, **parts, **{f"base64 of {start}": text for start, text in coded.items()}}


def leaks(text: str, key: str = KEY, part: int = 4) -> list[str]:
    """Pieces of the key, plain or encoded, that a text still holds."""
    forms = [form for name, form in echoes(key).items() if name not in ("starred", "cut", "plain", "quoted")]
    return [f[i : i + part] for f in [*forms, key] for i in range(len(f) - part + 1) if f[i : i + part] in text]


@pytest.mark.parametrize("form", echoes(KEY))
@pytest.mark.parametrize("status", [400, 401, 503])
def test_no_error_holds_a_part_of_the_key_in_any_form(form, status, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("NIGHTREC_LLM_API_KEY", f"{KEY}\n")
    reply = f'{{"message": "wrong: {echoes(KEY)[form]}"}}'.encode()
    endpoint = FlakyEndpoint(lambda prompt, number: (status, reply))
    with endpoint.running() as url, pytest.raises(ModelError, match="wrong: ") as raised:
        generator(url, attempts=1).generate([REQUEST] * 5)
    assert set(endpoint.keys) == {f"Bearer {KEY}"}
    assert leaks(str(raised.value)) == leaks(caplog.text) == []
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("form", [form for form in echoes(KEY) if form != "starred"])
@pytest.mark.parametrize("is_json", [True, False])
def test_no_answer_holds_the_key_in_any_form(form, is_json, monkeypatch, caplog):
    monkeypatch.setenv("NIGHTREC_LLM_API_KEY", KEY)
    text = json.dumps({"summary": f"The key is {echoes(KEY)[form]} indeed.", "audience": "People."})
    message = {"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    reply = json.dumps(message).encode() if is_json else b"x" * 1_990 + b" " + text.encode()
    with FlakyEndpoint(lambda prompt, number: reply).running() as url:
        (found,) = generator(url).generate([REQUEST])
    assert found.error == (None if is_json else "unparsable")
    assert "***" in found.text
    assert leaks(found.text, part=8) == []
    assert not is_json or json.loads(found.text)["audience"] == "People."


def test_an_address_that_holds_the_key_is_told_without_it(monkeypatch, caplog):
    monkeypatch.setenv("NIGHTREC_LLM_API_KEY", KEY)
    with FlakyEndpoint(lambda prompt, number: {"usage": None}).running() as url:
        client = generator(f"{url}/{quote(KEY, safe='')}")
        with pytest.raises(ModelError, match="no such model or path") as raised:
            client.generate([REQUEST])
    assert leaks(str(raised.value), part=8) == []


@pytest.mark.parametrize("key", ["", "x", "none"])
def test_a_word_that_stands_for_a_key_spoils_no_answer(key, monkeypatch):
    monkeypatch.setenv("NIGHTREC_LLM_API_KEY", key)
    reply = {"choices": [{"message": {"content": '{"summary": "x is none of x"}'}}]}
    with FlakyEndpoint(lambda prompt, number: reply).running() as url:
        assert generator(url).generate([REQUEST])[0].text == '{"summary": "x is none of x"}'


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-\u2019quoted\u2019"])
def test_what_cannot_be_a_key_is_told_without_it(key, monkeypatch):
    monkeypatch.setenv("NIGHTREC_LLM_API_KEY", key)
    with pytest.raises(ModelError, match="NIGHTREC_LLM_API_KEY is no key") as raised:
        generator("https://llm.example.com/v1")
    assert "sk-" not in str(raised.value)


def test_a_key_is_asked_for_before_anything_is_sent():
    with pytest.raises(ModelError, match="set the environment variable NIGHTREC_LLM_API_KEY"):
        generator("https://llm.example.com/v1")
