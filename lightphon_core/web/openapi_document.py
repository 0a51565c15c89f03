"""What is made of Litestar's OpenAPI document before it is served: names that generated clients can bear, what types
say in words, and how each place of an inference route is opened. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Tag
from litestar.types import Method

from lightphon_core.web.paths import ROOTS

ADMINISTRATION: Final = "administration"
"""The tag of what is for administrators alone: its operations are told from one's own by their names."""

TAGS: Final[Sequence[Tag]] = [
    Tag("inference", "OpenAI's routes, in the place that its SDKs use."),
    Tag("models", "What is on offer, and which of it would serve a request."),
    Tag("account", "One's own account: registering, logging in and out, leaving."),
    Tag("keys", "API keys."),
    Tag("agent tokens", "Tokens that stand in a base URL."),
    Tag("node tokens", "Tokens that GPU nodes connect with."),
    Tag("wallet", "What there is, and what was used."),
    Tag("deposits", "Money that comes in."),
    Tag("payouts", "Money that is withdrawn."),
    Tag("nodes", "One's own GPU nodes."),
    Tag(ADMINISTRATION, "Everybody's, for administrators."),
    Tag("server", "Whether it runs, and how well."),
    Tag("inference without v1", "The same routes, for clients whose base URL has no /v1."),
    Tag("inference by agent token", "The same routes under a token in the path, which alone opens them."),
]

_GOOD: Final = {"200": "OK", "201": "Created"}
"""Litestar says of the latter that a URL follows, which does not."""
_AGENT: Final = "/api/agent/{token}/"
_OURS: Final = __name__.partition(".")[0]


def operation_id(handler: HTTPRouteHandler, method: Method, path_components: Sequence[Any]) -> str:
    """What the operation is called: as its handler, in camel case. Where a route has several places, all but the first
    say which they are; and a plugin's operations are named by their paths, as their authors know no other's names."""
    if handler.fn.__module__.partition(".")[0] != _OURS:
        return camel_case([method.lower(), *(getattr(part, "name", part) for part in path_components)])
    name = [handler.handler_name]
    if ADMINISTRATION in handler.resolve_tags():
        name.insert(0, "admin")
    if len(handler.paths) > 1:
        name += ["by_agent_token"] if "agent" in path_components else []
        name += [] if "v1" in path_components else ["without_v1"]
    return camel_case(name)


def camel_case(words: Iterable[str]) -> str:
    """The words, which may have underscores and dashes, as one: `list_keys` is `listKeys`."""
    first, *rest = [part for word in words for part in word.replace("-", "_").split("_") if part]
    return first + "".join(part[0].upper() + part[1:] for part in rest)


def finished(document: dict[str, Any], kinds: Iterable[Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it is served. The docstrings of `kinds`, which are msgspec's structs, become the descriptions of
    their schemas; `extra` are schemas besides, by name."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    named = {kind.__name__: kind for kind in kinds if kind.__name__ in schemas}
    # As msgspec reads and writes them: Litestar leaves bounds inside unions and lists out, and that others are refused.
    _, exact = msgspec.json.schema_components(named.values(), ref_template="#/components/schemas/{name}")
    schemas.update({name: schema for name, schema in exact.items() if "enum" not in schema or name not in schemas})
    for name, kind in named.items():
        schemas[name]["description"] = described(kind)
        for field in schemas[name]["properties"].values():
            field.pop("default", None)  # TypeScript's generator takes a field that has one for one that is always sent
    schemas.update(extra)
    for path, item in document["paths"].items():
        for operation in item.values():
            operation.update(_of_place(path))
            for status, response in operation["responses"].items():
                if status in _GOOD:
                    response["description"] = _GOOD[status]
    return document


def described(kind: type) -> str:
    """A struct in words: its own docstring, then those of the structs that it adds to."""
    adds_to = (base for base in kind.__mro__ if issubclass(base, msgspec.Struct) and base is not msgspec.Struct)
    return "\n\n".join(inspect.cleandoc(base.__doc__ or "") for base in adds_to if base.__struct_fields__)


def structs_of(package: str, kind: Any = msgspec.Struct) -> Iterator[Any]:
    """Every struct that is made in the modules of this package."""
    for each in kind.__subclasses__():
        if each.__module__.startswith(package):
            yield each
        yield from structs_of(package, each)


def _of_place(path: str) -> dict[str, Any]:
    """What is otherwise about an inference route in this place."""
    if path.startswith(_AGENT):
        return {"tags": ["inference by agent token"], "security": []}
    return {"tags": ["inference without v1"]} if path.split("/")[1] in ROOTS - {"v1"} else {}
