"""A local OpenAI-compatible endpoint that fails by plan: 429, 500, too slow, cut JSON, broken connections."""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD = json.dumps({"summary": "A drama with a river.", "audience": "People who enjoy drama."})


class FlakyEndpoint:
    """`plan(prompt, number of this try)` says what happens: a status code, or slow, cut, broken, short, words."""

    def __init__(self, plan) -> None:
        self.plan = plan
        self.tries: Counter[str] = Counter()
        self.bodies: list[dict] = []
        self.keys: list[str] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

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

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
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
        try:
            self._act(handler, self.plan(prompt, number) if handler.path == "/v1/chat/completions" else 404)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has given up waiting, as planned
        finally:
            with self.lock:
                self.under_way -= 1

    def _act(self, handler, what) -> None:
        if what == "broken":
            handler.connection.close()
            return
        if what == "slow":
            time.sleep(1.0)
        status = what if isinstance(what, int) else 200
        text = {"cut": GOOD[:30], "words": "Sure! Here is a profile."}.get(what, GOOD)
        reason = "length" if what == "short" else "stop"
        found = {
            "choices": [{"message": {"content": text}, "finish_reason": reason}],
            "usage": {"prompt_tokens": 50, "completion_tokens": 20},
        }
        answer = json.dumps(found if status == 200 else {"error": {"message": "planned"}})
        answer = answer[: len(answer) // 2] if what == "half" else answer
        handler.send_response(status)
        if status == 429:
            handler.send_header("Retry-After", "0")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer.encode())
