"""The key of an endpoint: read from the environment, and hidden wherever a foreign text might repeat it."""

import base64
import json
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, quote_plus

from schemas.errors import ModelError

WHOLE, HINT = 8, 4
"""Characters in a row that give a key away: in an answer, where words may look alike, and in an error's text.

A shorter key than WHOLE is a word for an endpoint that asks for none, and no secret in an answer.
"""

_GAP = re.compile(r"([\s\"',<>]+)")


@dataclass(frozen=True)
class ApiKey:
    """A key, "" for none. It shows in no repr."""

    value: str = field(repr=False)

    @classmethod
    def of(cls, url: str, variable: str) -> "ApiKey":
        """The key in an environment variable, less white space around it; a server on this machine needs none.

        Raises ModelError, never with the key, where one is needed and absent, or where it cannot be a key.
        """
        key = os.environ.get(variable, "").strip()
        if not key and not url.startswith(("http://127.", "http://localhost", "http://[::1]")):
            raise ModelError(
                f"generator.endpoint: {url} needs a key; set the environment variable {variable} where the Ray task "
                "runs (to any word for an endpoint that asks for none)"
            )
        if not (key.isascii() and key.isprintable()):
            raise ModelError(f"the environment variable {variable} is no key: it holds more than printable ASCII")
        return cls(key)

    @property
    def headers(self) -> dict[str, str]:
        """What a request carries."""
        return {"Authorization": f"Bearer {self.value}"} if self.value else {}

    def hide(self, text: str, part: int = WHOLE) -> str:
        """The text with *** for each word that holds so many characters in a row of the key, plain or encoded."""
        parts = _parts(self.value, part)
        covered = {i + k for i in range(len(text) - part + 1) if text[i : i + part] in parts for k in range(part)}
        if not covered:
            return text
        marked = "".join("\0" if i in covered else letter for i, letter in enumerate(text))
        return "".join("***" if "\0" in word else word for word in _GAP.split(marked))


@lru_cache
def _parts(key: str, size: int) -> frozenset[str]:
    """All that is so long of a key in any of its forms: plain, quoted for a URL or for JSON, in base64."""
    escaped = json.dumps(key)[1:-1]
    forms = [key, quote(key, safe=""), quote_plus(key), escaped, escaped.replace("/", "\\/")]
    for skipped in range(3):  # base64 has three forms of a text, by what stands before it
        coded = base64.b64encode(b"\0" * skipped + key.encode()).decode()
        own = coded[-(-skipped * 4 // 3) : (skipped + len(key)) * 4 // 3]
        forms += [own, own.translate(str.maketrans("+/", "-_"))]
    return frozenset(form[i : i + size] for form in forms for i in range(len(form) - size + 1))
