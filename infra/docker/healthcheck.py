"""Exit 0 when a URL answers with a status below 400, else 1: the health check of every image.

python infra/docker/healthcheck.py URL
"""

import sys
import urllib.error
import urllib.request


def healthy(url: str, timeout: float = 5.0) -> bool:
    """Whether an http URL answers without an error within `timeout` seconds."""
    if not url.startswith("http://"):
        raise SystemExit(f"expected an http:// URL, found {url!r}")
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - the scheme is checked above
            return bool(answer.status < 400)
    except (urllib.error.URLError, OSError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(not healthy(sys.argv[1]))
