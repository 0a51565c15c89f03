"""/schema: it names every route and how each may fail, and shows no page."""

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.web.pages.routes import pages


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory):
    with run_server(tmp_path_factory.mktemp("schema"), plugin_of(ScriptedBackend(says("x")))) as running:
        yield running


@pytest.fixture(scope="module")
def document(running):
    answer = httpx.get(running.url + "/schema")
    assert answer.headers["content-type"] == "application/json"
    assert httpx.get(running.url + "/schema/openapi.json").content == answer.content
    return answer.json()


PAGES = {
    ("GET", "/download"),
    *(("GET", route.path_format) for route in Litestar([pages()], openapi_config=None).routes),
}
"""For browsers: no part of the API."""


def test_every_route_is_in_it(running, document):
    routes = {
        (method, route.path_format)
        for route in running.server._app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/schema")
        for method in route.methods - {"OPTIONS"}
    }
    assert {(method.upper(), path) for path, item in document["paths"].items() for method in item} == routes - PAGES
    assert routes >= PAGES


def test_every_failure_is_openais(document):
    error = document["components"]["schemas"]["Error"]
    assert error["required"] == ["error"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            responses = operation["responses"]
            assert operation["description"], path
            assert {"400", "503"} <= responses.keys(), path
            for status, response in responses.items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Error"}, (method, path, status)
            if "requestBody" in operation:
                assert {"408", "413"} <= responses.keys(), path
            if "security" in operation and path != "/metrics":
                assert {"401", "403", "429"} <= responses.keys(), path


def test_no_page_of_litestars(running):
    for path in ("/schema/redoc", "/schema/swagger", "/schema/x"):
        answer = httpx.get(running.url + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
