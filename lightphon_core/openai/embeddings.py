"""What the gateway reads of an embeddings request."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.body import is_in_tokens, typed
from lightphon_core.openai.facts import Facts, Prompt
from lightphon_core.openai.forms import VECTORS
from lightphon_core.openai.selection import Selecting, selection_of, session_of
from lightphon_core.openai.vectors import Wanted
from lightphon_core.types import Capability

MAX_INPUTS: Final = 2048
"""The most that one request may have, as OpenAI's."""
MAX_DIMENSIONS: Final = 65_536

ALLOWED: Final = {"encoding_format": "float, base64"}


class _Embeddings(Selecting, kw_only=True):
    input: str | list[str]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=MAX_DIMENSIONS)] | None = None


KNOWN: Final = frozenset(_Embeddings.__struct_fields__)
"""The fields that are checked here."""

_embeddings = msgspec.json.Decoder(_Embeddings)


def inspect(body: bytes, fields: dict[str, bytes], session_id: str | None = None) -> Facts:
    """Check an embeddings request. `fields` are its members without the nulls, and are changed in place: `input`
    becomes a list, and how the vectors are to be written stays behind, since the gateway writes them.

    Raises:
        InvalidRequest: Something that is looked at is missing, of a wrong type, or out of its range.
    """
    if "input" not in fields:
        raise InvalidRequest("Missing required parameter: 'input'.", param="input")
    if is_in_tokens(fields["input"]):
        raise InvalidRequest(
            "'input' must be text: tokens are a model's own, and these would be another one's. In LangChain, set "
            "check_embedding_ctx_length=False on OpenAIEmbeddings.",
            param="input",
        )
    asked = typed(body, _embeddings, ALLOWED)
    texts = _texts(asked.input)
    fields["input"] = msgspec.json.encode(texts)
    for name in ("encoding_format", "dimensions"):
        fields.pop(name, None)
    lengths = [len(text.encode()) for text in texts]
    return Facts(
        selection=selection_of(asked),
        form=VECTORS,
        capabilities=frozenset({Capability.EMBEDDING}),
        prompt=Prompt(sum(lengths), 0, len(texts), 0, longest_bytes=max(lengths)),
        session=session_of(asked, session_id, ()),
        vectors=Wanted(len(texts), asked.encoding_format == "base64", asked.dimensions),
    )


def _texts(given: str | list[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not texts:
        raise InvalidRequest("'input' must be a text, or a list of at least one.", param="input")
    if len(texts) > MAX_INPUTS:
        raise InvalidRequest(f"'input' must have at most {MAX_INPUTS} texts; send the rest on its own.", param="input")
    for at, text in enumerate(texts):
        if not text:
            raise InvalidRequest(f"'input[{at}]' is empty; there is nothing to embed.", param=f"input[{at}]")
    return texts
