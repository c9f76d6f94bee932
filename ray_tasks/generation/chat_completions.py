"""The wire form of chat completions: what is sent, and what an answer says. Pure; the sending is elsewhere.

Endpoints that call themselves compatible differ: some know no JSON schema, LM Studio knows nothing but one, some
models refuse `max_tokens` or a temperature. A Dialect is what one endpoint has turned out to understand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray_tasks.generation.protocol import Generation, Request
from schemas.generation_config import Generator as GeneratorConfig

FORMS = ("json_schema", "json_object", "text")
"""Ways to ask for JSON, the strictest first. All but the first one show the schema in the prompt."""

REPLACED = {"max_tokens": "max_completion_tokens", "temperature": None, "seed": None}
"""Parameters that some models refuse, and what they take instead."""

UNKNOWN_PARAMETER = frozenset(("unsupported_parameter", "unsupported_value", "unknown_parameter"))


MOST_TOKENS = 10**9
"""No request takes so many; a larger count is none."""


def estimate_tokens(text: str) -> int:
    """Tokens of a text before anything is sent: a quarter of its characters, rounded up."""
    return -(-len(text) // 4)


@dataclass
class Dialect:
    """What an endpoint understands: the place in FORMS that works, and parameters that it refuses."""

    form: int = 0
    is_sure: bool = False
    refuses: set[str] = field(default_factory=set)

    def accepted(self, form: int) -> bool:
        """Note that a form was answered; returns whether this is the news that stricter ones are not known."""
        news = not self.is_sure and form > self.form
        if news:
            self.form = form
        self.is_sure = True
        return news

    def weaker(self, form: int, sent: Mapping[str, Any], reply: str) -> int | None:
        """The form to ask in after a refusal of the body `sent` that says `reply`; None where nothing is left to try.

        A refused parameter is left out for all from now on; a body under way that still had it is sent anew without.
        A refused form is so for this request alone until a weaker one is answered: the fault may be the request's own.
        """
        parameter = _unknown_parameter(reply)
        if parameter in REPLACED and parameter in sent:
            self.refuses.add(parameter)
            return form
        return form + 1 if "response_format" in sent else None


def body(request: Request, config: GeneratorConfig, examples: str, dialect: Dialect, form: int) -> dict[str, Any]:
    """A request to the endpoint: the examples as system message, the same for all, so that providers can cache it."""
    text = request.text
    if request.schema and form > 0:
        text = f"Answer with one line of JSON that satisfies this schema: {request.schema}\n\n{text}"
    settings: dict[str, Any] = {
        "max_tokens": config.max_new_tokens,
        "temperature": 0 if request.seed is None else config.temperature,
    }
    if request.seed is not None:
        settings["seed"] = request.seed
    for name in dialect.refuses & settings.keys():
        value, instead = settings.pop(name), REPLACED[name]
        settings |= {instead: value} if instead else {}
    if request.schema and FORMS[form] == "json_schema":
        shape = {"name": "profile", "strict": True, "schema": typed(json.loads(request.schema))}
        settings["response_format"] = {"type": "json_schema", "json_schema": shape}
    elif request.schema and FORMS[form] == "json_object":
        settings["response_format"] = {"type": "json_object"}
    messages = [{"role": "system", "content": examples.strip()}, {"role": "user", "content": text}]
    return {"model": config.model, "messages": messages, **settings}


def typed(schema: Any) -> Any:
    """The schema in the form that strict endpoints take: closed sets of strings say that they are strings."""
    if isinstance(schema, list):
        return [typed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: value if key in ("enum", "const") else typed(value) for key, value in schema.items()}
    if isinstance(found.get("const"), str):
        found["enum"] = [found.pop("const")]
    options = found.get("enum")
    if isinstance(options, list) and all(isinstance(option, str) for option in options):
        found = {"type": "string", **found}
    return found


def generation(reply: str, request: Request, sent: str) -> Generation:
    """What a served request has brought: a text, or `unparsable` or `truncated`, with the tokens that it cost.

    `sent` is the text that is counted where the endpoint reports no usage.
    """
    found = _json(reply)
    try:
        choice = found["choices"][0]
        text = choice["message"]["content"] or ""
        if not isinstance(text, str):
            raise TypeError("content is no text")
    except (KeyError, IndexError, TypeError):
        return Generation(reply, estimate_tokens(sent), 0, "unparsable")
    read, written = _used(found, "prompt_tokens"), _used(found, "completion_tokens")
    error = None
    if choice.get("finish_reason") == "length":
        error = "truncated"
    elif request.schema and not is_json(text):
        error = "unparsable"
    return Generation(text, read or estimate_tokens(sent), written or estimate_tokens(text), error)


def reports_usage(reply: str) -> bool:
    """Whether a reply counts its own tokens."""
    return bool(_used(_json(reply), "prompt_tokens"))


def is_json(text: str) -> bool:
    """Whether a text is one value of JSON."""
    return _json(text) is not None or text.strip() == "null"


def _json(text: str) -> Any:
    """The value that a text holds; None where it is no JSON, or nested deeper than can be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _unknown_parameter(reply: str) -> str:
    """The parameter that a refusal names as not understood; "" where it names none."""
    found = _json(reply)
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict) or str(error.get("code")) not in UNKNOWN_PARAMETER:
        return ""
    return str(error.get("param"))


def _used(found: Any, name: str) -> int:
    """A count of a reply's `usage`; 0 where it has none that can be one."""
    usage = found.get("usage") if isinstance(found, dict) else None
    count = usage.get(name) if isinstance(usage, dict) else None
    return int(count) if isinstance(count, int | float) and 0 < count < MOST_TOKENS else 0
