"""A local OpenAI-compatible endpoint that fails by plan: 429, 500, too slow, cut JSON, reset connections."""

import json
import random
import socket
import struct
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ray_tasks.generation.openai_backend import OpenAIGenerator
from ray_tasks.generation.protocol import Generation, Request
from schemas.generation_config import Endpoint, Generator

TRANSIENT = [429, 500, 503, "reset"]
SCHEMA = '{"type": "object"}'
FAILURES = [*TRANSIENT, "slow", "cut", "half", "short", "words"]

GOOD = json.dumps({"summary": "A drama with a river.", "audience": "People who enjoy drama."})

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a connection a reset."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class FlakyEndpoint:
    """`plan(prompt, number of this try)` says what happens to a try.

    A status code, or: slow (no answer in time), drip (an answer that never ends), reset (of the connection), half
    (of the reply), cut (JSON in the answer), short (finish_reason length), words (no JSON); a dict is an answer's
    body, bytes are a whole reply, (status, bytes) one that fails.
    """

    def __init__(self, plan, retry_after: str = "0") -> None:
        self.plan = plan
        self.retry_after = retry_after
        self.tries: Counter[str] = Counter()
        self.bodies: list[dict] = []
        self.keys: list[str] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    @property
    def requests(self) -> int:
        return sum(self.tries.values())

    @contextmanager
    def running(self):
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                endpoint.serve(self)

            def log_message(self, *_):
                pass

        server = Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            self.over.set()
            server.shutdown()
            server.server_close()

    def serve(self, handler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        prompt = body["messages"][-1]["content"]
        with self.lock:
            self.tries[prompt] += 1
            number = self.tries[prompt]
            self.bodies.append(body)
            self.keys.append(handler.headers.get("authorization", ""))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has given up waiting, as planned
            self._act(handler, self.decide(body, number) if handler.path == "/v1/chat/completions" else 404)

    def decide(self, body: dict, number: int):
        return self.plan(body["messages"][-1]["content"], number)

    def _act(self, handler, what) -> None:
        if what == "slow":
            self.over.wait()
        status, answer = self._reply(what)
        with self.lock:  # before the client can know: its next request is none beside this one
            self.under_way -= 1
        if what == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            handler.connection.close()
            handler.close_connection = True
            return
        handler.send_response(status)
        if status in (429, 503):
            handler.send_header("Retry-After", self.retry_after)
        handler.send_header("Content-Length", "100000" if what == "drip" else str(len(answer)))
        handler.end_headers()
        while what == "drip" and not self.over.wait(0.05):
            handler.wfile.write(b" ")
        handler.wfile.write(answer)

    def _reply(self, what) -> tuple[int, bytes]:
        """(status, body) of what is planned."""
        if isinstance(what, tuple):
            return what
        if isinstance(what, bytes):
            return 200, what
        if isinstance(what, dict) and "error" in what:
            return 400, json.dumps(what).encode()
        if isinstance(what, int) and what != 200:
            return what, json.dumps({"error": {"message": f"planned, with {self.keys[-1]}"}}).encode()
        text = {"cut": GOOD[:30], "words": "Sure! Here is a profile."}.get(str(what), GOOD)
        found = {
            "choices": [{"message": {"content": text}, "finish_reason": "length" if what == "short" else "stop"}],
            "usage": {"prompt_tokens": 50, "completion_tokens": 20},
        }
        answer = json.dumps({**found, **what} if isinstance(what, dict) else found).encode()
        return 200, answer[: len(answer) // 2] if what == "half" else answer


def config(url: str, **endpoint) -> Generator:
    settings = {"timeout_seconds": 30, "concurrency": 8, "attempts": 3, **endpoint}
    return Generator(backend="openai", model="some-model", path="x", endpoint=Endpoint(url=url, **settings))


def generator(url: str, **endpoint) -> OpenAIGenerator:
    return OpenAIGenerator(config(url, **endpoint), "Examples")


def seeded(share: float, failures):
    """A plan by which so large a share of the tries fails, each in its own way."""

    def plan(prompt: str, number: int):
        chance = random.Random(f"{prompt}-{number}")
        return chance.choice(failures) if chance.random() < share else 200

    return plan


def requests(n: int) -> list[Request]:
    return [Request(f"Movie: Stone River {number:03d}", SCHEMA) for number in range(n)]


def errors(found: list[Generation]) -> list[str | None]:
    return [one.error for one in found]
