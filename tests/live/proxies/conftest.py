"""docs/deploy/nginx.conf and docs/deploy/Caddyfile in front of a live server: as they are, but for addresses, ports and
certificate. `.ci/proxy-tests` brings both programs."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from attrs import frozen

from lightphon_core import Authenticator, Capability, Model, Principal, Scope
from lightphon_core.plugins import installed
from lightphon_core.settings import ServerSettings, Settings
from lightphon_core.testing import LiveServer, ScriptedBackend, plugin_of
from lightphon_core.testing.process import free_port
from lightphon_core.testing.scripted import says

DEPLOY = Path(__file__).parents[3] / "docs" / "deploy"
NAME = "ai.example.org"
PATIENCE_S = 20

# What Debian's own nginx.conf has around its sites, without the paths that only root may write.
AROUND_NGINX = """
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


@frozen
class Place:
    """Where a proxy runs: its folder, its ports, the server behind it, the certificate for NAME and who issued it."""

    folder: Path
    tls_port: int
    plain_port: int
    upstream: str
    certificate: Path
    key: Path
    authority: trustme.CA


def nginx(place: Place) -> list[str]:
    """The command that runs nginx with our site."""
    site = substituted(
        (DEPLOY / "nginx.conf").read_text("utf-8"),
        {
            "127.0.0.1:8000": place.upstream,
            "listen 80;": f"listen 127.0.0.1:{place.plain_port};",
            "listen [::]:80;": "",
            "listen 443 ssl": f"listen 127.0.0.1:{place.tls_port} ssl",
            "listen [::]:443 ssl http2;": "",
            f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(place.certificate),
            f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(place.key),
            "/var/log/nginx/error.log": "site-error.log",
            "/var/www/html": str(place.folder / "webroot"),
        },
    )
    (place.folder / "site.conf").write_text(site)
    user = "user root;" if place.folder.owner() == "root" else ""
    (place.folder / "nginx.conf").write_text(AROUND_NGINX.format(user=user))
    command = ["nginx", "-p", str(place.folder), "-c", str(place.folder / "nginx.conf")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    return command


def caddy(place: Place) -> list[str]:
    """The command that runs Caddy with our site."""
    ports = f"http_port {place.plain_port}\n\thttps_port {place.tls_port}\n\tdefault_bind 127.0.0.1\n\tadmin off\n"
    site = substituted(
        (DEPLOY / "Caddyfile").read_text("utf-8"),
        {
            "127.0.0.1:8000": place.upstream,
            "{\n\t# URLs": f"{{\n\t{ports}\n\t# URLs",
            f"{NAME} {{": f"{NAME} {{\n\ttls {place.certificate} {place.key}",
        },
    )
    (place.folder / "Caddyfile").write_text(site)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(place.folder / "Caddyfile")]


PROXIES = {"nginx": nginx, "caddy": caddy}


def substituted(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


class Clients(Authenticator):
    """Knows the key "who", and notes from where it came."""

    name = "clients"

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def authenticate(self, credentials: Any) -> Principal | None:
        if credentials.bearer != "who":
            return None
        self.seen.append(credentials.client)
        return Principal("acc_who", "cred_who", frozenset({Scope.INFERENCE}))


@frozen
class Proxied:
    """A server, and a proxy in front of it. `proxy` is "nginx" or "caddy"."""

    proxy: str
    running: Any
    settings: Mapping[str, Any]
    backend: ScriptedBackend
    clients: Clients
    place: Place
    tls: ssl.SSLContext

    def client(self, local: str = "127.0.0.2", **headers: str) -> httpx.Client:
        """A client at another loopback address than the proxy's own, so that the two can be told apart. It asks for
        NAME in its TLS, as whoever looked that name up does."""

        def named(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = NAME

        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.place.tls_port}",
            transport=httpx.HTTPTransport(verify=self.tls, local_address=local),
            headers={"authorization": f"Bearer {self.running.api_key}", "host": NAME, **headers},
            event_hooks={"request": [named]},
            timeout=PATIENCE_S,
        )

    def restarted(self) -> LiveServer:
        """Another server, not yet running, with the database and the address of the one that was stopped."""
        settings = Settings(data_dir=self.running.server.data_dir, **self.settings)
        sources = [plugin_of(self.backend, self.clients), *installed()]
        return LiveServer(settings, sources=sources, port=int(self.place.upstream.rpartition(":")[2]))

    def logged(self) -> str:
        """All that the proxy has written into its logs."""
        return "".join(path.read_text("utf-8") for path in self.place.folder.glob("*.log"))


@pytest.fixture(params=PROXIES)
def start_behind(request: pytest.FixtureRequest, start_server: Any, tmp_path: Path) -> Iterator[Callable[..., Proxied]]:
    """`start_behind(server={...}, **limits)` runs a server, and one of the proxies in front of it, until the test ends;
    every test runs with each of them."""
    with ExitStack() as stack:

        def start(server: Mapping[str, Any] = {"public_url": f"https://{NAME}"}, **limits: Any) -> Proxied:
            backend = ScriptedBackend(says("x"), models=[Model("m", frozenset({Capability.CHAT}))])
            clients = Clients()
            settings = {"server": ServerSettings(trusted_proxies=("127.0.0.1", "::1"), **server)}
            running = start_server(plugin_of(backend, clients), *installed(), limits=limits, **settings)
            place = place_in(tmp_path, running.url.removeprefix("http://"))
            stack.callback(ended, started(PROXIES[request.param](place), place))
            tls = ssl.create_default_context()
            place.authority.configure_trust(tls)
            return Proxied(request.param, running, settings, backend, clients, place, tls)

        yield start


@pytest.fixture
def proxied(start_behind: Callable[..., Proxied]) -> Proxied:
    return start_behind()


def place_in(tmp_path: Path, upstream: str) -> Place:
    folder = tmp_path / "proxy"
    folder.mkdir()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    return Place(folder, free_port(), free_port(), upstream, certificate, key, authority)


def started(command: list[str], place: Place) -> subprocess.Popen[bytes]:
    """The proxy, listening. What it says and keeps stays in its folder."""
    environ = {**os.environ, "HOME": str(place.folder), "XDG_DATA_HOME": str(place.folder / "data")}
    with (place.folder / "said.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
    for port in (place.tls_port, place.plain_port):
        wait_for(port, process)
    return process


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens; a proxy has no other way to say so."""
    for _ in range(1000):
        assert process.poll() is None, "the proxy ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            threading.Event().wait(0.01)
        else:
            return
    raise AssertionError("the proxy does not listen")


def ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(PATIENCE_S)
