"""docs/deploy/nginx.conf, with other ports and paths, in front of a live server. `.ci/nginx-tests` installs nginx."""

import asyncio
import json
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import httpx
import pytest
from attrs import frozen
from lightphon_backend_gguf.protocol import codec
from lightphon_backend_gguf.protocol.messages import SUBPROTOCOL, Hello, Welcome
from websockets.sync.client import connect

from lightphon_core import Authenticator, Capability, Model, Principal, Scope
from lightphon_core.plugins import installed
from lightphon_core.settings import ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, says

pytestmark = pytest.mark.nginx

SITE = Path(__file__).parents[2] / "docs" / "deploy" / "nginx.conf"
NAME = "ai.example.org"
PATIENCE_S = 20
HELLO = [{"role": "user", "content": "Hello!"}]

# What Debian's own nginx.conf has around its sites, without the paths that only root may write.
AROUND = """
daemon off; {user}
pid nginx.pid; error_log error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on; tcp_nopush on; include /etc/nginx/mime.types; default_type application/octet-stream;
    access_log access.log; gzip on; client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include site.conf;
}}
"""


class Clients(Authenticator):
    """Knows the key "who", and notes from where it came."""

    name = "clients"

    def __init__(self):
        self.seen = []

    async def authenticate(self, credentials):
        if credentials.bearer != "who":
            return None
        self.seen.append(credentials.client)
        return Principal("acc_who", "cred_who", frozenset({Scope.INFERENCE}))


@frozen
class Proxied:
    """A server, and nginx in front of it."""

    running: object
    backend: ScriptedBackend
    clients: Clients
    folder: Path
    port: int
    plain_port: int
    tls: ssl.SSLContext

    def client(self, local="127.0.0.2", **headers):
        """A client at another loopback address than nginx's own, so that the two can be told apart."""
        transport = httpx.HTTPTransport(verify=self.tls, local_address=local)
        headers = {"authorization": f"Bearer {self.running.api_key}", "host": NAME, **headers}
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}", transport=transport, headers=headers, timeout=PATIENCE_S
        )


def free_ports(number):
    """Ports that nothing listens on now; nginx cannot be given an open socket."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def substituted(text, replacements):
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def proxied(start_server, tmp_path):
    backend, clients = ScriptedBackend(says("x"), models=[Model("m", frozenset({Capability.CHAT}))]), Clients()
    running = start_server(
        plugin_of(backend, clients),
        *installed(),
        server=ServerSettings(public_url=f"https://{NAME}", trusted_proxies=("127.0.0.1", "::1")),
    )
    folder = tmp_path / "nginx"
    folder.mkdir()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = f"subjectAltName=DNS:{NAME},IP:127.0.0.1"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    request += ["-days", "2", "-subj", f"/CN={NAME}", "-addext", names, "-out", certificate, "-keyout", key]
    subprocess.run(request, check=True, capture_output=True)
    port, plain = free_ports(2)
    site = substituted(
        SITE.read_text(),
        {
            "127.0.0.1:8000": running.url.removeprefix("http://"),
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen [::]:80;": "",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "listen [::]:443 ssl http2;": "",
            f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(certificate),
            f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(key),
            "/var/log/nginx/error.log": "site-error.log",
        },
    )
    (folder / "site.conf").write_text(site)
    user = "user root;" if folder.owner() == "root" else ""
    (folder / "nginx.conf").write_text(AROUND.format(user=user))
    command = ["nginx", "-p", folder, "-c", folder / "nginx.conf"]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    nginx = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        tls = ssl.create_default_context(cafile=certificate)
        wait_for(port, nginx)
        yield Proxied(running, backend, clients, folder, port, plain, tls)
    finally:
        nginx.terminate()
        nginx.wait(PATIENCE_S)


def wait_for(port, process):
    """Until somebody listens; nginx has no other way to say so."""
    for _ in range(1000):
        assert process.poll() is None, "nginx ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            threading.Event().wait(0.01)
        else:
            return
    raise AssertionError("nginx does not listen")


def test_chunks_arrive_one_by_one(proxied):
    steps = [threading.Event() for _ in range(4)]

    async def reply(job):
        for number, step in enumerate(steps):
            yield chunk({"content": str(number)})
            assert await asyncio.to_thread(step.wait, PATIENCE_S)
        yield chunk(finish="stop")

    proxied.backend.reply = reply
    body = {"model": "m", "stream": True, "messages": HELLO}
    with proxied.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = (line for line in stream.iter_lines() if line)
        for number, step in enumerate(steps):
            content = json.loads(next(lines).removeprefix("data: "))["choices"][0]["delta"]["content"]
            assert content == str(number)  # it is here, and the backend has not been let on yet
            step.set()
        assert list(lines)[-1] == "data: [DONE]"


def test_a_hang_up_is_noticed(proxied):
    closed = threading.Event()

    async def reply(job):
        try:
            yield chunk({"content": "begun"})
            await asyncio.Event().wait()
        finally:
            closed.set()

    proxied.backend.reply = reply
    body = {"model": "m", "stream": True, "messages": HELLO}
    with proxied.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()  # which closes the stream when it is forgotten
        assert "begun" in next(lines)
        assert not closed.is_set()
    assert closed.wait(PATIENCE_S)


def test_a_large_body_passes_and_touches_no_disk(proxied):
    size = 19_900_000
    messages = [{"role": "user", "content": "x" * size}]
    with proxied.client() as client:
        client.post("/v1/chat/completions", json={"model": "m", "messages": messages}).raise_for_status()
        assert len(proxied.backend.jobs[-1].body) > size
        assert [path for path in proxied.folder.rglob("*") if path.stat().st_size > 100_000] == []
        over = client.post("/v1/chat/completions", content=b"x" * 20_500_000)  # nginx takes it, and we do not
        assert (over.status_code, over.json()["error"]["code"]) == (413, "request_too_large")


def test_client_addresses_and_schemes_are_right(proxied):
    with proxied.client(authorization="Bearer who") as client:
        for forged in ({}, {"x-forwarded-for": "6.6.6.6"}, {"x-forwarded-for": "127.0.0.1", "x-real-ip": "6.6.6.6"}):
            client.get("/v1/models", headers=forged).raise_for_status()
    assert proxied.clients.seen == ["127.0.0.2"] * 3


def test_plain_http_is_sent_on_and_other_names_are_refused(proxied):
    plain = httpx.get(f"http://127.0.0.1:{proxied.plain_port}/v1/models?a=b", headers={"host": "evil.example"})
    assert (plain.status_code, plain.headers["location"]) == (308, f"https://{NAME}/v1/models?a=b")
    with proxied.client(host="rebound.example") as client:
        assert client.get("/v1/models").json()["error"]["code"] == "unknown_host"


def test_node_links_pass(proxied):
    headers = {"authorization": f"Bearer {proxied.running.node_token}"}
    with (
        socket.create_connection(("127.0.0.1", proxied.port), timeout=PATIENCE_S) as connection,
        connect(
            f"wss://{NAME}/api/node-link",
            sock=connection,
            ssl=proxied.tls,
            additional_headers=headers,
            subprotocols=[SUBPROTOCOL],
        ) as link,
    ):
        link.send(codec.encode(Hello(name="box", software="test/1")))
        assert isinstance(codec.decode(link.recv(PATIENCE_S)), Welcome)


def test_tokens_are_in_no_log_of_nginx(proxied):
    url = f"/api/agent/{proxied.running.agent_token}"
    with proxied.client() as client:
        assert client.get(f"{url}/v1/models").status_code == 200
        proxied.running.server.stop()
        assert client.get(f"{url}/v1/models").status_code == 502  # which is an error to nginx
    httpx.get(f"http://127.0.0.1:{proxied.plain_port}{url}/models")
    logs = "".join(path.read_text() for path in proxied.folder.glob("*.log"))
    assert proxied.running.agent_token not in logs
