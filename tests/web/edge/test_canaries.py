"""Whatever a client puts wherever it can, at every route: nothing of it in the log, and nothing in the database."""

import contextlib
import io
import json
import re
import time
from collections import Counter
from itertools import count

import httpx
import pytest
from litestar import Request, post
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from lightphon_core import log
from lightphon_core.accounts.device_cookies import DEVICE_COOKIE
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.plugins import installed
from lightphon_core.settings import LogSettings, Secret, ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
HEADERS = (
    *(
        "accept",
        "accept-language",
        "user-agent",
        "referer",
        "origin",
        "from",
        "x-api-key",
        "x-session-id",
        "x-lightphon-client",
        "traceparent",
    ),
    *("x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded", "via"),
    *(
        "content-type",
        "openai-organization",
        "x-stainless-lang",
        "proxy-authorization",
        "access-control-request-method",
    ),
)
PATIENCE_S = 20


class Canaries:
    """Texts of which each is used once: some look like a secret, and some like nothing at all."""

    mark = "c4n4ry"

    def __init__(self):
        self._numbers = count()

    def plain(self):
        return f"{self.mark}{next(self._numbers)}"

    def secret(self, prefix="lp"):
        return f"{prefix}_{self.mark}{next(self._numbers)}QWERTZUIOPasdfghjkl"

    def found(self, text):
        return re.findall(rf"[\w-]*{self.mark}\w*", text)


@post("/api/plugin/fault")
async def fault_route(request: Request) -> None:
    raise ValueError(await request.body(), dict(request.headers), request.url)


async def faulty(job):
    yield chunk({"content": "begun"})
    raise RuntimeError(job.body.decode())


def bodies(canaries):
    """What may be sent: right and wrong requests, and no requests at all."""
    one, two = canaries.plain, canaries.secret
    messages = [{"role": "user", "content": one(), "name": one()}, {"role": "assistant", "content": two()}]
    yield json.dumps({"model": "auto", "messages": messages, "user": one(), "metadata": {one(): two()}, one(): one()})
    yield json.dumps({"model": one(), "messages": messages, "stop": [two()]})
    yield json.dumps({"name": one(), "password": two(), "invite": two("li"), "current_password": one()})
    yield json.dumps([one()])
    yield f'{{"model": "{one()}", "{two()}'
    yield f'--{one()}\r\ncontent-disposition: form-data; name="{one()}"; filename="{one()}"\r\n\r\n{two()}\r\n--'
    yield f"{one()}={two()}&{one()}"


@pytest.mark.parametrize("format_", ["console", "json"])
def test_canaries(start_server, routes, wire, format_, tmp_path, capfd):
    canaries = Canaries()
    written = io.StringIO()
    server = ServerSettings(trusted_proxies=("127.0.0.1",), metrics_token=Secret("metrics-token-0123456789"))
    sources = [plugin_of(ScriptedBackend(faulty)), routes(fault_route), *installed()]
    running = start_server(*sources, server=server)
    log.configure(LogSettings(level="debug", format=format_), written)
    try:
        paths = [route.path for route in running.server._app.routes]
        assert "/v1/chat/completions" in paths
        attack_routes(running, canaries, paths)
        attack_sockets(running, canaries, paths)
        attack_the_wire(running, canaries, wire)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        stored = "".join(path.read_bytes().decode("latin-1") for path in files)
        running.server.stop()
        stored += "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file())
    finally:
        log.configure(LogSettings(level="debug"))
    logged = written.getvalue()
    for expected in ("fault of ours", "/api/agent/{token}/models", "/v1/-", "inference", "404"):
        assert expected in logged
    assert canaries.found(logged) == []
    assert canaries.found(stored) == []
    assert canaries.found("".join(capfd.readouterr())) == []
    for secret in (running.api_key, running.agent_token, running.node_token):
        assert secret not in logged + stored


def test_what_people_write_in_every_field(start_server, capfd):
    """By the schema, so that most of it is taken: the books have it then, where it belongs, and no log does."""
    canaries, written = Canaries(), io.StringIO()
    backend = ScriptedBackend(faulty)
    running = start_server(plugin_of(backend), *installed())
    with running.server.database.transaction() as connection:
        made = create_account(connection, "root", now=time.time(), admin=True)
        token = open_session(connection, made.id, now=time.time(), lifetime_s=600, recent_s=600)
    log.configure(LogSettings(level="debug"), written)
    answers = Counter()
    try:
        with httpx.Client(base_url=running.url, headers={"origin": running.url}, timeout=PATIENCE_S) as client:
            schema = client.get("/schema").json()
            for path, methods in schema["paths"].items():
                for method, operation in methods.items():
                    form = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
                    if form is None or path.endswith(("/logout", "/delete")):
                        continue
                    named = schema["components"]["schemas"]
                    for needed in (False, True):
                        content = filled(form, named, canaries, needed=needed)
                        if needed and "model" in content:
                            content |= {"model": "test-model"}
                        where = path.replace("{token}", running.agent_token)
                        where = re.sub(r"\{[^}]*\}", made.id if needed else canaries.plain(), where)
                        session = {"cookie": f"{COOKIE}={token}"}
                        key = {"authorization": f"Bearer {running.api_key}"}
                        headers = session if path.startswith("/api/") else key
                        answers[client.request(method, where, json=content, headers=headers).status_code] += 1
    finally:
        log.configure(LogSettings(level="debug"))
    assert answers[200] + answers[201] > 5, answers  # a good part of it was taken
    assert canaries.found(written.getvalue()) == []
    assert canaries.found("".join(capfd.readouterr())) == []


def filled(form, named, canaries, *, needed):
    """A value of a JSON schema with a canary wherever text may be; `needed`: only where text has to be."""
    if "$ref" in form:
        form = named[form["$ref"].rpartition("/")[2]]
    for several in ("anyOf", "oneOf"):
        if several in form:
            return filled(
                next(each for each in form[several] if each.get("type") != "null"), named, canaries, needed=needed
            )
    match form:
        case {"enum": [first, *_]}:
            return first
        case {"properties": dict(properties)}:
            names = form.get("required", ()) if needed else properties
            return {name: filled(properties[name], named, canaries, needed=needed) for name in names}
        case {"type": "object"}:
            return {canaries.plain(): canaries.plain()}
        case {"type": "array"}:
            return [filled(form.get("items", {"type": "string"}), named, canaries, needed=needed)]
        case {"type": "boolean"}:
            return False
        case {"type": "integer" | "number"}:
            return form.get("minimum", form.get("exclusiveMinimum", 0) + 1)
    return canaries.plain()


def attack_routes(running, canaries, paths):
    """Every route and some that are none, with every method, and canaries wherever there is room."""
    one, two = canaries.plain, canaries.secret
    with httpx.Client(base_url=running.url, timeout=PATIENCE_S) as client:
        for path in [*paths, "/v1/{x}", "/{x}/{x}", "/api/agent/{x}", "/api/agent/{x}/{x}", "/api/account/{x}"]:
            for method in METHODS:
                contents = list(bodies(canaries)) if method == "POST" else [None]
                for number, content in enumerate(contents):
                    canary = two if number % 2 else one
                    where = re.sub(r"\{[^}]*\}", lambda _, canary=canary: canary(), path)
                    headers = {name: canary() for name in HEADERS}
                    # A key that is right takes the request further than one that is not.
                    key = running.api_key if number < 3 else two()
                    headers |= {"authorization": f"Bearer {key}", one(): one()}
                    headers["cookie"] = f"{COOKIE}={two('ls')}; {DEVICE_COOKIE}={two('ld')}; {one()}={one()}"
                    if number == 2:
                        headers = {"content-type": "application/json"}  # a log-in from no page
                    client.request(method, f"{where}?{one()}={two()}&key={one()}", content=content, headers=headers)


def attack_sockets(running, canaries, paths):
    """An upgrade at every path, and something said where it succeeds."""
    one, two = canaries.plain, canaries.secret
    for path in [*paths, "/{x}"]:
        where = re.sub(r"\{[^}]*\}", lambda _: one(), path)
        url = f"{running.url.replace('http:', 'ws:')}{where}?{one()}={two()}"
        headers = {"authorization": f"Bearer {two('np')}", one(): one(), "cookie": f"{one()}={two('ls')}"}
        with contextlib.suppress(WebSocketException):
            # The second protocol is that of node links, where the plugin is installed.
            for protocol in (one(), "lightphon.node.v1"):
                with connect(url, additional_headers=headers, subprotocols=[protocol]) as socket:
                    socket.send(json.dumps({"type": one(), one(): two()}))
                    socket.recv(PATIENCE_S)


def attack_the_wire(running, canaries, wire):
    """What no client would send."""
    one = canaries.plain
    for sent in (
        f"{one().upper()} / HTTP/1.1\r\n\r\n",
        f"GET /{one()} HTTP/9.9\r\n\r\n",
        f"GET http://{one()}/{one()} HTTP/1.1\r\nhost: {one()}\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nhost: {one()}\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n{one()}\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nupgrade: {one()}\r\nconnection: upgrade, close\r\n\r\n",
        f"GET /%0a%1b%c3%28{one()} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: {one()}\r\n\r\n",
        f"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n{one()}\r\n",
        f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{one()}",
    ):
        connection = wire(running.url)
        connection.send(sent)
        connection.socket.shutdown(1)  # nothing more will come
        connection.rest()
