"""What the gateway learns of a request by reading it, whatever its endpoint."""

from attrs import field, frozen

from lightphon_core.openai.forms import Form
from lightphon_core.openai.selection import Selection
from lightphon_core.openai.vectors import Wanted
from lightphon_core.types import Capability


@frozen
class Prompt:
    """How much there is to read: bytes of text (UTF-8), bytes of JSON that tools and their past calls take, and the
    number of messages, or of texts, and of images.

    `longest_bytes` are those of the longest text, where each has a context of its own; None: all share one.
    """

    text_bytes: int
    tool_bytes: int
    messages: int
    images: int
    longest_bytes: int | None = None


@frozen
class Facts:
    """What a request asks for. `tools` are the names of the functions that the model may call, `session` as in
    `selection.session_of`, `n` how many choices the answer has, and `form` how it looks. `vectors` is what is wanted
    where the answer is vectors; it has no text then."""

    selection: Selection
    form: Form
    capabilities: frozenset[Capability]
    prompt: Prompt
    session: bytes | None = field(default=None, repr=False)
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    tools: frozenset[str] = field(default=frozenset(), repr=False)
    vectors: Wanted | None = None
