"""/schema: it names every route, what its types mean and how each may fail, and shows no page."""

import json
import re

import httpx
import msgspec
import pytest
from litestar import Litestar, get
from litestar.openapi import OpenAPIConfig
from litestar.params import FromPath
from litestar.routes import HTTPRoute

from lightphon_core.settings import ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.web.openapi_document import operation_id
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
    *(("GET", route.path_format) for route in Litestar([pages()], openapi_config=None, logging_config=None).routes),
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


def operations(document):
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def test_operations_are_named_for_clients_that_are_made_of_it(document):
    names = {operation["operationId"]: path for path, operation in operations(document)}
    assert len(names) == sum(1 for _ in operations(document))
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]*|V1)*", name) and len(name) < 45 for name in names), names
    expected = {
        "createChatCompletion": "/v1/chat/completions",
        "createChatCompletionWithoutV1": "/chat/completions",
        "createChatCompletionByAgentToken": "/api/agent/{token}/v1/chat/completions",
        "createChatCompletionByAgentTokenWithoutV1": "/api/agent/{token}/chat/completions",
        "listModels": "/v1/models",
        "listKeys": "/api/keys",
        "changeAgentToken": "/api/agent-tokens/{credential_id}",
        "getAccount": "/api/account",
        "adminGetAccount": "/api/admin/accounts/{account_id}",
    }
    assert {name: names[name] for name in expected} == expected
    known = {tag["name"] for tag in document["tags"]}
    assert {tag for _, operation in operations(document) for tag in operation["tags"]} == known


def test_a_plugins_operation_is_named_by_its_path():
    """Its author cannot know which names are taken."""

    @get("/box/{box_id:str}/lid-state")
    async def list_keys(box_id: FromPath[str]) -> str:
        return box_id

    config = OpenAPIConfig("x", "1", operation_id_creator=operation_id)
    app = Litestar([list_keys], openapi_config=config, logging_config=None)
    (operation,) = (operation for _, operation in operations(app.openapi_schema.to_schema()))
    assert operation["operationId"] == "getBoxBoxIdLidState"


class Limits(msgspec.Struct):
    """A plugin's, by a name that the core has too."""

    per_hour: int


@get("/api/box")
async def box() -> Limits:
    return Limits(1)


def test_a_plugins_types_may_have_any_name(start_server, routes):
    document = httpx.get(start_server(routes(box)).url + "/schema").json()
    schemas = document["components"]["schemas"]
    used = set(re.findall('"#/components/schemas/([^"]*)"', json.dumps(document)))
    assert used <= schemas.keys()
    theirs = document["paths"]["/api/box"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert "per_hour" in schemas[theirs["$ref"].rpartition("/")[2]]["properties"]
    limits = schemas["NewCredential"]["properties"]["limits"]["$ref"].rpartition("/")[2]
    assert "requests_per_minute" in schemas[limits]["properties"]
    assert schemas[limits]["additionalProperties"] is False


def test_every_type_is_described(document):
    schemas = document["components"]["schemas"]
    objects = {name: schema for name, schema in schemas.items() if schema.get("type") == "object"}
    assert [name for name, schema in objects.items() if not schema.get("description")] == []
    assert "`received_msat` is what came" in schemas["DepositShown"]["description"]
    assert "`created_at` is in seconds since 1970" in schemas["AccountDetails"]["description"]  # as in `AccountInfo`
    assert schemas["NewCredential"]["additionalProperties"] is False
    assert schemas["Budgets"]["properties"]["day"]["anyOf"][0]["minimum"] == 0  # inside a union
    assert schemas["Scope"]["type"] == "string"
    optional = schemas["NewCredential"]["properties"]["used_by"]
    assert "default" not in optional  # clients in TypeScript would have to send it
    created = document["paths"]["/api/keys"]["post"]["responses"]["201"]
    assert created["description"] == "Created"  # and no URL follows


def test_what_opens_a_route(document):
    paths = document["paths"]
    schemes = document["components"]["securitySchemes"]
    for path, operation in operations(document):
        for one in operation.get("security", []):
            assert one.keys() <= schemes.keys()
        if path.startswith("/api/agent/{token}"):
            assert operation["security"] == [], path  # the token in the path, and nothing else
    assert paths["/v1/chat/completions"]["post"]["security"] == [{"key": []}]
    assert paths["/api/keys"]["get"]["security"] == [{"session": []}, {"key": []}]
    assert schemes["session"]["name"] == "lightphon_session"


def test_behind_https_it_says_where_the_server_is_and_what_its_cookie_is_called(start_server):
    server = ServerSettings(public_url="https://ai.example.org")
    running = start_server(server=server)
    document = httpx.get(running.url + "/schema", headers={"host": "ai.example.org"}).json()
    assert document["servers"] == [{"url": "https://ai.example.org"}]
    assert document["components"]["securitySchemes"]["session"]["name"] == "__Host-lightphon_session"


def test_no_page_of_litestars(running):
    for path in ("/schema/redoc", "/schema/swagger", "/schema/x"):
        answer = httpx.get(running.url + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
