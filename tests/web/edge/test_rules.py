"""What the edge decides, as plain functions: clients behind proxies, names, open paths, what may be logged, metrics."""

import re

import pytest
from attrs import evolve

from lightphon_core.errors import SettingsError
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.serving.outcome import Outcome
from lightphon_core.settings import Secret, ServerSettings, load
from lightphon_core.testing import ScriptedBackend
from lightphon_core.testing.scripted import says
from lightphon_core.types import Usage
from lightphon_core.web.edge.access_log import logged_path, words_of
from lightphon_core.web.edge.cors import preflight_headers
from lightphon_core.web.edge.hosts import host_rule, name_of
from lightphon_core.web.edge.proxies import client_behind, is_trusted, networks, scheme_behind
from lightphon_core.web.monitoring.metrics import MOST_MODELS, OTHER, Metrics
from lightphon_core.web.paths import is_open, with_prefixes

PROXIES = networks(["10.0.0.0/8", "192.0.2.7", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::ffff:10.1.2.3", True),
        ("fd00::1%eth0", True),
        ("::1", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_who_is_a_proxy(peer, trusted):
    assert is_trusted(peer, PROXIES) is trusted


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),  # what the client wrote itself stands before what proxies wrote
        ("203.0.113.9, 10.0.0.2,192.0.2.7", "203.0.113.9"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),  # a client inside our own network
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%'; DROP TABLE", "fe80::1"),
        ("unknown", "10.0.0.1"),
        ("203.0.113.9, evil\x00, 10.0.0.2", "10.0.0.2"),
        ("203.0.113.9, ", "10.0.0.1"),
        ("9" * 10_000, "10.0.0.1"),
        ("6.6.6.6," + "10.0.0.2," * 100 + "10.0.0.2", "10.0.0.2"),
    ],
)
def test_the_client_behind_proxies(forwarded, client):
    assert client_behind("10.0.0.1", forwarded, PROXIES) == client


@pytest.mark.parametrize(
    ("scheme", "forwarded", "seen"),
    [
        ("http", "https", "https"),
        ("http", "https, http", "http"),
        ("ws", "https", "wss"),
        ("ws", "wss", "wss"),
        ("http", "", "http"),
        ("http", "javascript", "http"),
    ],
)
def test_the_scheme_behind_proxies(scheme, forwarded, seen):
    assert scheme_behind(scheme, forwarded) == seen


LOOPBACK = ServerSettings()
PUBLIC = ServerSettings(host="0.0.0.0")
NAMED = evolve(
    PUBLIC, public_url="https://Ai.Example.org:8443/x", allowed_hosts=("*.Example.net", "box", "[2001:db8::5]")
)


@pytest.mark.parametrize(
    ("server", "host", "served"),
    [
        (LOOPBACK, b"localhost:8000", True),
        (LOOPBACK, b"LOCALHOST.", True),
        (LOOPBACK, b"127.0.0.1", True),
        (LOOPBACK, b"[::1]:8000", True),
        (LOOPBACK, b"rebound.example", False),
        (LOOPBACK, b"192.168.1.5", False),
        (LOOPBACK, b"localhost.evil.example", False),
        (evolve(LOOPBACK, public_url="https://ai.example.org"), b"ai.example.org", True),
        (NAMED, b"ai.example.org", True),
        (NAMED, b"ai.example.org:443", True),
        (NAMED, b"a.b.example.net", True),
        (NAMED, b"example.net", False),
        (NAMED, b"evilexample.net", False),
        (NAMED, b"box", True),
        (NAMED, b"[2001:db8::5]", True),
        (NAMED, b"203.0.113.9:80", True),
        (NAMED, b"[2001:db8::9]", True),
        (NAMED, b"localhost", True),
        (NAMED, b"rebound.example", False),
    ],
)
def test_names_that_are_served(server, host, served):
    rule, name = host_rule(server), name_of(host)
    assert rule is not None
    assert name is not None
    assert rule.permits(name) is served


@pytest.mark.parametrize("host", [b"", b"a b", b"a@b", b"a/b", b"localhost:x", b"[::1", b"::1", b"\xff", b"a,b"])
def test_what_is_no_name(host):
    assert name_of(host) is None


def test_a_public_server_that_nobody_named_goes_by_any_name():
    assert host_rule(PUBLIC) is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            'trusted_proxies = ["nginx"]',
            "[server] trusted_proxies must be IP addresses or networks such as",
        ),
        ('allowed_hosts = ["https://x.org"]', "[server] allowed_hosts must be host names such as"),
        ('allowed_hosts = ["x.org:80"]', "[server] allowed_hosts must be host names such as"),
        ('metrics_token = "short-hush"', "[server] metrics_token must have 16 characters or more."),
        ("body_timeout_s = 0", "[server] body_timeout_s must be > 0: 0.0."),
        (
            "max_bodies_bytes = 39_999_999",
            "[server] max_bodies_bytes must be at least twice max_body_bytes, 40000000: it is 39999999.",
        ),
    ],
)
def test_settings_that_are_refused(tmp_path, setting, message):
    (tmp_path / "l.toml").write_text(f"[server]\n{setting}\n")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "l.toml", {})
    assert message in caught.value.message
    assert "hush" not in caught.value.message


def test_settings_that_are_taken(tmp_path):
    text = 'trusted_proxies = ["10.0.0.1/8", "::1"]\nallowed_hosts = ["*.a.org", "b", "::1", "[::1]"]\n'
    (tmp_path / "l.toml").write_text(f'[server]\n{text}metrics_token = "{"x" * 16}"\n')
    server = load(tmp_path / "l.toml", {}).server
    assert server.metrics_token == Secret("x" * 16)
    assert networks(server.trusted_proxies) == networks(["10.0.0.0/8", "::1"])


def test_paths_that_every_origin_may_call():
    for path in ("/chat/completions", "/completions", "/fim/completions", "/embeddings", "/models", "/models/a/b"):
        for place in with_prefixes(path):
            assert is_open(place.replace("{token:str}", "at_x")), place
    for path in ("/schema", "/schema/openapi.json", "/api/models/route", "/v1/nothing"):
        assert is_open(path), path
    for path in (
        "/",
        "*",
        "/api/account",
        "/api/wallet",
        "/api/agent-tokens",
        "/metrics",
        "/v1x",
        "/schemas",
        "/api/v1",
    ):
        assert not is_open(path), path
    with pytest.raises(AssertionError):
        with_prefixes("/responses")


def test_a_preflight_repeats_header_names_and_nothing_else():
    assert dict(preflight_headers(b"authorization, x-stainless-lang"))[b"access-control-allow-headers"] == (
        b"authorization, x-stainless-lang"
    )
    for odd in (b"a\r\nset-cookie: x", b"a" * 5000, b"", b"<script>"):
        assert b"access-control-allow-headers" not in dict(preflight_headers(odd))


def test_a_path_without_a_route_is_logged_by_the_words_of_ours_alone():
    words = words_of(["/v1/chat/completions", "/api/agent/{token:str}/models/{id:path}"])
    assert logged_path("/v1/chat/hunter2", words) == "/v1/chat/-"
    assert logged_path("/api/agent/at_x/v1/chat/completions", words) == "/api/agent/-/v1/chat/completions"
    assert logged_path("/{token:str}/\n/\x1b[2J", words) == "/-/-/-"
    assert len(logged_path("/a" * 10_000, words)) < 100


def samples(page: str) -> dict[str, float]:
    """The page, checked line by line."""
    found, typed = {}, set()
    assert page.endswith("\n")
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            assert line.split()[3] in ("counter", "gauge", "histogram")
            typed.add(line.split()[2])
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'(([a-z_]+)(?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\})?) ([0-9.e+-]+)', line)
            assert match, line
            assert {match[2], re.sub("_(bucket|sum|count)$", "", match[2])} & typed, line
            assert match[1] not in found, line
            found[match[1]] = float(match[3])
    return found


class TestMetrics:
    def page(self, metrics, models=()):
        catalogue = Catalogue([ScriptedBackend(says("x"), models=models)], now=lambda: 0.0)
        return samples(metrics.page(catalogue, holds=3, waiting=4, body_bytes=5, writes_lost=2))

    def test_what_is_counted(self):
        metrics = Metrics()
        metrics.request("/v1/models", "GET", 200)
        metrics.request("/v1/models", "GET", 299)
        metrics.request("/v1/models", "BREW", 0)
        metrics.stream(1)
        metrics.ended(Outcome("ok", 3.0, 'a"\\\n', 0.1, Usage(5, 7), 11))
        metrics.ended(Outcome("ok", 700.0, 'a"\\\n', 0.11, Usage(5, 7), 11))
        metrics.ended(Outcome("NoNodesAvailable", 0.5))
        page = self.page(metrics, ["m", "n"])
        model = 'model="a\\"\\\\\\n"'
        assert page['lightphon_http_requests_total{route="/v1/models",method="GET",status="2xx"}'] == 2
        assert page['lightphon_http_requests_total{route="/v1/models",method="other",status="none"}'] == 1
        assert page[f'lightphon_inference_total{{{model},outcome="ok"}}'] == 2
        assert page['lightphon_inference_total{model="none",outcome="NoNodesAvailable"}'] == 1
        assert page[f'lightphon_tokens_total{{{model},kind="completion"}}'] == 14
        assert page[f"lightphon_cost_msat_total{{{model}}}"] == 22
        first = [page[f'lightphon_first_output_seconds_bucket{{{model},le="{le}"}}'] for le in ("0.05", "0.1", "0.25")]
        assert first == [0, 1, 2]
        whole = [page[f'lightphon_inference_seconds_bucket{{{model},le="{le}"}}'] for le in ("2.5", "5", "600", "+Inf")]
        assert whole == [0, 1, 1, 2]
        assert page[f"lightphon_inference_seconds_sum{{{model}}}"] == 703
        assert page[f"lightphon_inference_seconds_count{{{model}}}"] == 2
        names = ("open_streams", "nodes_online", "offers_online", "holds_open", "database_writes_lost_total")
        assert [page[f"lightphon_{name}"] for name in names] == [1, 1, 2, 3, 2]

    def test_models_are_bounded_and_those_that_left_make_room(self):
        metrics = Metrics()

        def answer(model):
            metrics.ended(Outcome("ok", 1.0, model, 1.0))

        def models(page):
            return {re.search('model="([^"]*)"', key)[1] for key in page if "lightphon_inference_total" in key}

        for number in range(MOST_MODELS + 50):
            answer(f"m{number}")
        answer("x" * 1000)
        staying = [f"m{number}" for number in range(MOST_MODELS - 1)]
        page = self.page(metrics, staying)
        assert page[f'lightphon_inference_total{{model="{OTHER}",outcome="ok"}}'] == 51
        assert models(page) == {*staying, OTHER}
        answer("new")
        answer("newer")
        page = self.page(metrics, [*staying, "new"])
        assert models(page) == {*staying, OTHER, "new"}
        assert page[f'lightphon_inference_total{{model="{OTHER}",outcome="ok"}}'] == 52
