"""JSON bodies of the API: bounded, decoded strictly by their msgspec types, refused with the name of the field."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.body import object_fields, typed
from lightphon_core.types import Principal
from lightphon_core.web.inference import read_body

MAX_BODY_BYTES = 16_384


class JsonRequest(Request[Principal, None, State]):
    """A request whose body is one JSON object. Litestar's own would keep the last of repeated fields, and turn "7" into
    7, which money must not be."""

    _read: bytes | None = None

    async def body(self) -> bytes:
        """The whole body, read once.

        Raises:
            BodyTooLarge: it is over the route's limit; the rest is not read.
            InvalidRequest: it is empty, or its sender hung up, who reads no answer.
        """
        if self._read is not None:
            return self._read
        limit = self.route_handler.resolve_request_max_body_size()
        body = await read_body(self, MAX_BODY_BYTES if limit is None else limit)
        if not body:
            raise InvalidRequest("The body is empty; a JSON object is needed.")
        self._read = body
        return body

    async def known_again(self) -> Principal:
        """Whom the request acts for, asked anew. Raises what the guards raise."""
        self.scope["user"] = None
        await self.route_handler.authorize_connection(self)
        return self.user

    async def json(self) -> Any:
        """The body as the type of the route's `data`, from somebody who may still send it.

        Raises:
            InvalidRequest: it is none; with the path to the field at fault.
            Unauthenticated, PermissionDenied: what the guards raise now that the body is there.
        """
        body = await self.body()
        # It may have taken its time. Who held requests back could go on with a key that was revoked meanwhile, or a
        # session that a new password ended.
        await self.known_again()
        object_fields(body)  # refuses what is no object, or has a field twice
        field = self.route_handler.parsed_data_field
        assert field is not None, "Litestar asks for JSON where a route has `data`"
        return typed(body, _decoder(field.annotation), {})


@cache
def _decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[msgspec.Struct]:
    return msgspec.json.Decoder(kind)
