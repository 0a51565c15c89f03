"""docs/deployment.md and what lies beside it name settings and metrics that there are, and all of them."""

import re
from pathlib import Path

from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.serving.outcome import Outcome
from lightphon_core.settings import load, unknown_variables
from lightphon_core.web.monitoring.metrics import Metrics

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "deployment.md").read_text("utf-8")


def test_the_settings_load(tmp_path):
    (block,) = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    (tmp_path / "metrics-token").write_text("0123456789abcdef\n")
    (tmp_path / "lightphon.toml").write_text(block)
    server = load(tmp_path / "lightphon.toml", {}).server
    assert server.metrics_token.reveal() == "0123456789abcdef"
    assert server.trusted_proxies == ("127.0.0.1", "::1")


def test_every_metric_is_listed():
    metrics = Metrics()
    metrics.request("/", "GET", 200)
    metrics.ended(Outcome("ok", 1.0, "m", 1.0))
    metrics.waited("served", 1.0)
    page = metrics.page(Catalogue([], lambda: 0.0), holds=0, waiting=0, writes_lost=0)
    assert set(re.findall(r"`(lightphon_[a-z_]+)`", GUIDE)) == set(re.findall(r"# TYPE (\S+)", page))


def test_the_files_are_listed_and_name_real_settings():
    listed = set(re.findall(r"\(deploy/([^)]+)\)", GUIDE)) - {""}
    assert listed == {path.name for path in (DOCS / "deploy").iterdir()}
    variables = re.findall(r"LIGHTPHON_[A-Z_]+", (DOCS / "deploy" / "Dockerfile").read_text("utf-8"))
    assert unknown_variables(dict.fromkeys(variables, "x"), {}) == []
