"""From a client's body to what is sent to a model: checked, with one output limit, otherwise as the client wrote it."""

from collections.abc import Callable

import msgspec
from attrs import field, frozen

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai import chat, completions, embeddings
from lightphon_core.openai.body import object_fields, typed
from lightphon_core.openai.facts import Facts, Prompt
from lightphon_core.openai.fields import CONTENT, ENGINE_OUTPUT_LIMITS, OUTPUT_LIMITS, is_removed
from lightphon_core.openai.forms import Form
from lightphon_core.openai.vectors import Wanted
from lightphon_core.types import Needs

BYTES_PER_TOKEN = 16
"""For the estimate of a prompt's length from below. Real text has 2 to 6 bytes a token in any language; only long
runs of one character, such as an indent, come near 16."""

_text = msgspec.json.Decoder(msgspec.defstruct("_Text", [(name, msgspec.Raw, msgspec.Raw()) for name in CONTENT]))
_limit = msgspec.json.Decoder(int)


@frozen
class _Endpoint:
    """How its requests are read; which of their fields are checked by that; and the path that backends know, None for
    the same one."""

    inspect: Callable[[bytes, dict[str, bytes], str | None], Facts]
    known: frozenset[str]
    upstream: str | None = None


_ENDPOINTS = {
    "/v1/chat/completions": _Endpoint(chat.inspect, chat.KNOWN),
    "/v1/completions": _Endpoint(completions.inspect, completions.KNOWN),
    "/v1/fim/completions": _Endpoint(completions.inspect_infill, completions.KNOWN, "/v1/completions"),
    "/v1/embeddings": _Endpoint(embeddings.inspect, embeddings.KNOWN),
}


@frozen
class InferenceRequest:
    """A request that was checked. Nothing of the prompt shows in its repr.

    `path` is that of the job which a backend gets, `form` how the answer looks. `model` is None for "auto". `limit` is
    the output limit in tokens that the client asked for, and `needs.max_output_tokens` the one that counts: the smaller
    of the client's and the gateway's, for each choice; 0 where the answer has no text but `vectors`. `tools` are the
    names of the functions that the answer may call. `session` is a digest that tells the client's conversation from its
    others.
    """

    path: str
    form: Form
    model: str | None
    stream: bool
    include_usage: bool
    n: int
    limit: int | None
    needs: Needs
    tools: frozenset[str] = field(repr=False)
    prompt: Prompt
    kept: list[bytes] = field(repr=False)
    """The fields that travel as they are, in pieces: members of a JSON object, each followed by a comma."""
    session: bytes | None = field(default=None, repr=False)
    vectors: Wanted | None = None

    @property
    def offers_tools(self) -> bool:
        """Whether the answer may call a function."""
        return bool(self.tools)

    def let_go(self) -> None:
        """Forget what travels: nobody is sent it any more. It may be large, and answers may take long."""
        self.kept.clear()


def parse(
    path: str,
    body: bytes,
    *,
    max_output_tokens: int,
    session_id: str | None = None,
    via: frozenset[str] = frozenset(),
) -> InferenceRequest:
    """Read the body of a request to `path`, an inference path of OpenAI's, in its "/v1/..." form.

    Fields that are null count as absent. `max_output_tokens` is the gateway's own limit, for one choice. `session_id`
    is that of the header x-session-id, which counts where the body has none; `via` are the gateways that the request
    says it came through.

    Raises:
        InvalidRequest: The body is not what the endpoint takes; `param` names the field.
        KeyError: No such endpoint.
    """
    endpoint = _ENDPOINTS[path]
    fields = {name: raw for name, raw in object_fields(body, _text).items() if raw != b"null"}
    facts = endpoint.inspect(body, fields, session_id)
    limit = 0 if facts.vectors else _output_limit(fields)
    longest = facts.prompt.longest_bytes
    needs = Needs(
        path=path,
        model=facts.selection.model,
        capabilities=facts.capabilities,
        prompt_tokens=facts.prompt.text_bytes // BYTES_PER_TOKEN,
        context_tokens=None if longest is None else longest // BYTES_PER_TOKEN,
        max_output_tokens=max_output_tokens if limit is None else min(limit, max_output_tokens),
        choices=facts.n,
        fallbacks=facts.selection.fallbacks,
        focus=facts.selection.focus,
        filters=facts.selection.filters,
        via=via,
    )
    kept: list[bytes] = []
    for name, raw in fields.items():
        if not is_removed(name, endpoint.known):
            kept += (msgspec.json.encode(name), b":", raw, b",")
    return InferenceRequest(
        path=endpoint.upstream or path,
        form=facts.form,
        model=needs.model,
        stream=facts.stream,
        include_usage=facts.include_usage,
        n=facts.n,
        limit=limit,
        needs=needs,
        tools=facts.tools,
        prompt=facts.prompt,
        kept=kept,
        session=facts.session,
        vectors=facts.vectors,
    )


def ready_body(request: InferenceRequest, *, model: str, max_tokens: int) -> bytes:
    """The body to post to an upstream, under the upstream's own name of the model: always streamed and with usage, but
    for vectors, which come whole, and as base64, since that is a third as long.

    `max_tokens` is the output limit of this attempt; one above the request's own has no effect.
    """
    if request.vectors is not None:
        head, tail = b'{"model":%b,' % msgspec.json.encode(model), b'"encoding_format":"base64"}'
        return b"".join((head, *request.kept, tail))
    if request.needs.max_output_tokens is not None:
        max_tokens = min(max_tokens, request.needs.max_output_tokens)
    head = b'{"model":%b,"stream":true,"stream_options":{"include_usage":true},' % msgspec.json.encode(model)
    return b"".join((head, *request.kept, b'"max_tokens":%d}' % max_tokens))


def _output_limit(fields: dict[str, bytes]) -> int | None:
    """The smallest of the limits that the client gave, under whatever name; None if it gave none."""
    limits = []
    for name in fields.keys() & OUTPUT_LIMITS:
        limit = typed(fields[name], _limit, {}, param=name)
        if limit < 1:
            raise InvalidRequest(f"'{name}' must be at least 1.", param=name)
        limits.append(limit)
    for name in fields.keys() & ENGINE_OUTPUT_LIMITS:
        limit = typed(fields[name], _limit, {}, param=name)
        if limit > 0:
            limits.append(limit)
    return min(limits, default=None)
