"""The generator of the tests: no model, answers in the form that is asked for, made of the prompt's own words."""

import json
import re
from collections.abc import Sequence
from typing import Any

from ray_tasks.generation.protocol import Generation, Request

LEADS = {"audience": "People who enjoy", "long_term": "Enjoys", "recent": "Lately", "text": ""}


class FakeGenerator:
    """Completes a prompt from its own facts, in the form of a good answer. For tests, no model needed."""

    revision = "0" * 64

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """An answer to each request that satisfies its schema and names the first facts."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Generation:
        fields = dict(line.split(": ", 1) for line in request.text.splitlines() if ": " in line)
        told = (fields.get("Facts") or fields.get("Often") or "").split(",")
        facts = [fact for part in told if (fact := re.sub(r"[^\w' -]", "", part).strip().lower())]
        named = " and ".join(facts[:2]) or "this very thing"
        if "Chosen" in fields:  # an explanation
            item = request.text.partition("\n")[0].partition(": ")[2]
            named = f"“{item}” may suit you, since you chose {fields['Chosen']}: {fields['Because']}"
        schema = json.loads(request.schema) if request.schema else {"type": "string"}
        answer = json.dumps(_instance(schema, "summary", named), separators=(",", ":"), ensure_ascii=False)
        return Generation(answer, len(request.text.split()), len(answer.split()))


def _instance(schema: dict[str, Any], name: str, named: str) -> Any:
    """The first instance of a schema, with texts that name the facts."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _instance(schema["anyOf"][0], name, named)
    if schema["type"] == "object":
        return {key: _instance(part, key, named) for key, part in schema["properties"].items()}
    if schema["type"] == "array":
        return [_instance(schema["items"], name, named)]
    return f"{LEADS.get(name, 'A mix of')} {named}."[: schema.get("maxLength", 10_000)].strip()
