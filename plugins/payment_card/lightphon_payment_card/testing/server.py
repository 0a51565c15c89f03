"""Stripe's API over HTTP on loopback, as far as the plugin asks it, over an `Account`."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from lightphon_payment_card.testing.account import SECRET_KEY, Account, Object, Wrong

SESSIONS = "/v1/checkout/sessions"


class StripeServer:
    """A context manager: it serves in threads of its own. `url` stays the same when it comes back."""

    def __init__(self, account: Account | None = None) -> None:
        self.account = account or Account()
        self.loses_reply = False
        """Whether the next request that makes something is carried out, and not answered."""
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()

    def listen(self) -> None:
        """Take connections."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self._answer))
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="stripe of the tests")
        self._thread.start()

    def refuse(self) -> None:
        """Take no more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def _answer(self, request: BaseHTTPRequestHandler) -> tuple[int, Object] | None:
        """Status and JSON; None where the reply is lost."""
        body = request.rfile.read(int(request.headers.get("content-length", "0"))).decode()
        if request.headers.get("authorization") != f"Bearer {SECRET_KEY}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
        parts = urlsplit(request.path)
        try:
            with self._lock:
                answer = self._handle(request, parts.path, dict(parse_qsl(parts.query)), body)
                lost, self.loses_reply = self.loses_reply and request.command == "POST", False
        except Wrong as error:
            wrong = {"type": "invalid_request_error", "code": error.code, "message": str(error)}
            return error.status, {"error": wrong}
        return None if lost else (200, answer)

    def _handle(self, request: BaseHTTPRequestHandler, path: str, query: dict[str, str], body: str) -> Object:
        if (request.command, path) == ("POST", SESSIONS):
            return self.account.create_session(nested(body), request.headers["idempotency-key"])
        if path == SESSIONS:
            return _page(self.account.sessions_of(query.get("payment_intent")), path, query)
        if path.startswith(f"{SESSIONS}/"):
            return self.account.session(path.removeprefix(f"{SESSIONS}/"))
        if path == "/v1/refunds":
            found = [each for each in self.account.refunds.values() if each["charge"] == query["charge"]]
            return _page(found, path, query)
        kind, _, name = path.removeprefix("/v1/").partition("/")
        if request.command != "GET" or kind not in ("charges", "refunds", "disputes"):
            raise Wrong(f"Unrecognized request URL ({request.command}: {path}).", code="", status=404)
        return self.account.found(kind.removesuffix("s"), name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


def _handler(answer: Callable[[BaseHTTPRequestHandler], tuple[int, Object] | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answer(self)
            if found is None:
                self.close_connection = True
                return
            content = json.dumps(found[1]).encode()
            self.send_response(found[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Request-Id", "req_of_the_tests")
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
            """Nobody reads it."""

    return Handler


def _page(found: list[Object], path: str, query: dict[str, str]) -> Object:
    limit = int(query.get("limit", "10"))
    newest = list(reversed(found))
    return {"object": "list", "data": newest[:limit], "has_more": len(newest) > limit, "url": path}


def nested(body: str) -> Object:
    """A form of Stripe's: `a[b][0]=c` is `{"a": {"b": ["c"]}}`."""
    tree: Object = {}
    for name, value in parse_qsl(body, strict_parsing=True, keep_blank_values=True):
        first, *rest = re.findall(r"[^\[\]]+", name)
        branch, key = tree, first
        for each in rest:
            branch, key = branch.setdefault(key, {}), each
        branch[key] = value
    listed: Object = _listed(tree)
    return listed


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_listed(value[str(number)]) for number in range(len(value))]
    return {key: _listed(each) for key, each in value.items()}
