"""docs/deployment.md and what lies beside it name settings and metrics that there are, and all of them."""

import re
import tomllib
from pathlib import Path

import uvicorn

from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.serving.outcome import Outcome
from lightphon_core.settings import Settings, load, unknown_variables
from lightphon_core.web.monitoring.metrics import Metrics
from lightphon_core.web.server import UNFINISHED_S

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "deployment.md").read_text("utf-8")


def test_the_settings_load(tmp_path):
    (block,) = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    (tmp_path / "metrics-token").write_text("0123456789abcdef\n")
    (tmp_path / "lightphon.toml").write_text(block)
    server = load(tmp_path / "lightphon.toml", {}).server
    assert server.metrics_token.reveal() == "0123456789abcdef"
    assert server.trusted_proxies == ("127.0.0.1", "::1")


def test_whoever_stands_in_front_waits_longer_than_we_do():
    """What proxies and systemd wait, in seconds, and take, in bytes, and what we do by default."""
    files = {path.name: path.read_text("utf-8") for path in (DOCS / "deploy").iterdir()}
    settings = Settings(data_dir=DOCS)

    def stands(file, pattern):
        (number,) = re.findall(pattern, files[file])
        return int(number)

    for patience in (
        stands("nginx.conf", r"proxy_read_timeout (\d+)s;"),
        stands("Caddyfile", r"\bread_timeout (\d+)s"),
    ):
        assert patience > settings.limits.total_timeout_s
    for size in (
        stands("nginx.conf", r"client_max_body_size (\d+)m;") * 2**20,
        stands("Caddyfile", r"max_size (\d+)MB") * 10**6,
    ):
        assert size > settings.server.max_body_bytes
    kept = uvicorn.Config("").timeout_keep_alive  # which we do not change
    assert stands("nginx.conf", r"keepalive_timeout (\d+)s;") < kept
    assert stands("Caddyfile", r"\bkeepalive (\d+)s") < kept
    (stop,) = re.findall(r"--stop-timeout (\d+)", GUIDE)
    for grace in (stands("lightphon.service", r"TimeoutStopSec=(\d+)"), int(stop)):
        assert grace > settings.server.shutdown_grace_s + UNFINISHED_S


def test_every_metric_is_listed():
    metrics = Metrics()
    metrics.request("/", "GET", 200)
    metrics.ended(Outcome("ok", 1.0, "m", 1.0))
    metrics.waited("served", 1.0)
    page = metrics.page(Catalogue([], lambda: 0.0), holds=0, waiting=0, body_bytes=0, writes_lost=0)
    assert set(re.findall(r"`(lightphon_[a-z_]+)`", GUIDE)) == set(re.findall(r"# TYPE (\S+)", page))


def test_the_image_gets_all_that_the_wheel_is_made_of():
    ignored = (DOCS.parent / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    built = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))
    hatch = built["tool"]["hatch"]["build"]
    needed = {"pyproject.toml", "plugins", built["project"]["readme"], hatch["hooks"]["custom"]["path"]}
    needed |= {*hatch["targets"]["wheel"]["packages"], *hatch["targets"]["sdist"]["only-include"]}
    assert {f"!{name}" for name in needed} <= set(ignored)


def test_the_files_are_listed_and_name_real_settings():
    listed = set(re.findall(r"\(deploy/([^)]+)\)", GUIDE)) - {""}
    assert listed == {path.name for path in (DOCS / "deploy").iterdir()}
    variables = re.findall(r"LIGHTPHON_[A-Z_]+", (DOCS / "deploy" / "Dockerfile").read_text("utf-8"))
    assert unknown_variables(dict.fromkeys(variables, "x"), {}) == []
