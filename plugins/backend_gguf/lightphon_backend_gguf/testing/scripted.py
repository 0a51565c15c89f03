"""Tiny GGUF models that say a text fixed in advance, for tests of everything that happens around a model.

Such a file is an ordinary llama model which any GGUF engine loads. Its one block is all zeros, so that only the
residual path is left; token embeddings are one-hot; and the output matrix is the transition table of an automaton:
piece i makes piece i + 1 the likeliest token, and any other token (the prompt's last one) makes piece 0 so. The file is
about 1 MB, loads in a tenth of a second and yields thousands of tokens a second. Decode greedily (`"temperature": 0`).

Needs the `gguf` package (a test dependency).
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

CHAT_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""

TOOL_TEMPLATE = """\
{%- if tools %}
    {{- '<|im_start|>system\\nYou may call these functions:\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
    {{- '\\n</tools>\\nCall as <tool_call>\\n{"name": NAME, "arguments": OBJECT}\\n</tool_call><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
    {%- for call in message.tool_calls or [] %}
        {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- call.function.arguments if call.function.arguments is string else (call.function.arguments | tojson) }}
        {{- '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""

REASONING_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' and message.reasoning_content %}
        {{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
    {%- endif %}
    {{- (message.content or '') + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


@frozen
class Script:
    """What a model says: `pieces`, one token each, joined without a separator; for ever again if `loop`.

    Pieces are unique, and none is a single printable ASCII character. `marks` are control tokens; with them the model
    says its text after the last of them, and nothing after anything else.
    """

    pieces: tuple[str, ...]
    template: str | None = CHAT_TEMPLATE
    loop: bool = False
    marks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All that the model generates, or one round of it."""
        return "".join(self.pieces)

    def write(self, path: Path, *, name: str = "Tiny Script", context: int = 4096) -> Path:
        """Write the model to `path`, and return it."""
        return build(
            path,
            self.pieces,
            template=self.template,
            name=name,
            context=context,
            loop=self.loop,
            marks=self.marks,
        )


GREETING = Script(("Hello", " from", " a", " scripted", " model,", " Grüße", " 😀"))
"""Seven tokens of text, then a stop."""

ENDLESS = Script(tuple(f" word{number:02d}" for number in range(40)), loop=True)
"""Never stops by itself."""

TOOL_CALL = Script(
    ("<tool_call>", '\n{"name":', ' "get_weather"', ', "arguments":', ' {"city":', ' "Paris"', "}}\n", "</tool_call>"),
    template=TOOL_TEMPLATE,
)
"""Calls `get_weather` with {"city": "Paris"}; offer that tool, or it is plain text."""

JSON_ANSWER = Script(('{"city":', ' "Paris",', ' "population":', " 2100000", " }"))
"""A JSON object: {"city": string, "population": integer}."""

REASONING = Script(
    ("<think>", "\nTwo", " and", " two", " make", " four.", "\n</think>", "\n\n", "It is", " 4."), REASONING_TEMPLATE
)
"""Thinks "Two and two make four.", then says "It is 4."."""

INFILL = Script((" filled", " in"), template=None, marks=("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"))
"""Fills in what is missing between a prompt and its suffix; a plain prompt is followed by nothing."""


def build(
    path: Path,
    pieces: Sequence[str],
    *,
    template: str | None = CHAT_TEMPLATE,
    name: str = "Tiny Script",
    context: int = 4096,
    loop: bool = False,
    embedding: bool = False,
    certainty: float = 30.0,
    marks: Sequence[str] = (),
    mark_ids: Sequence[str] = (),
) -> Path:
    """Write a model that says `pieces`, and return `path`.

    `context` is the training length in tokens. `template=None` leaves a model without chat. `embedding` marks it as a
    model for embeddings (mean pooling). `certainty` is how far the next piece is ahead of all others; near 0.02 even a
    temperature of 1 makes the text random. `marks` are as in `Script`; `mark_ids` are metadata keys that name them, in
    the same order. ValueError where two tokens would be equal.
    """
    vocabulary = _Vocabulary.of(pieces, marks)
    width = -(-len(vocabulary.tokens) // 32) * 32
    writer = gguf.GGUFWriter(path, "llama")
    _add_metadata(writer, vocabulary, width, name=name, context=context, template=template)
    if embedding:
        writer.add_pooling_type(gguf.PoolingType.MEAN)
    for key, mark in zip(mark_ids, marks, strict=False):
        writer.add_uint32(key, vocabulary.tokens.index(mark.encode()))
    for tensor, values in _tensors(vocabulary, width, loop=loop, logit=certainty, marked=bool(marks)).items():
        writer.add_tensor(f"{tensor}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@frozen
class _Vocabulary:
    """A SentencePiece vocabulary: control tokens, the 256 bytes, ASCII, ChatML's marks, the script's; from `first` on,
    the pieces."""

    tokens: list[bytes]
    types: list[int]
    first: int

    UNKNOWN = 0
    BEGIN = 1
    END = 2

    @classmethod
    def of(cls, pieces: Sequence[str], marks: Sequence[str]) -> "_Vocabulary":
        kinds = gguf.TokenType
        entries: list[tuple[bytes, int]] = [
            (b"<unk>", kinds.UNKNOWN),
            (b"<s>", kinds.CONTROL),
            (b"</s>", kinds.CONTROL),
        ]
        entries += [(b"<0x%02X>" % byte, kinds.BYTE) for byte in range(256)]
        entries += [(character.encode(), kinds.NORMAL) for character in "\u2581" + "".join(map(chr, range(33, 127)))]
        entries += [(mark.encode(), kinds.CONTROL) for mark in ("<|im_start|>", "<|im_end|>", *marks)]
        first = len(entries)
        entries += [(piece.replace(" ", "\u2581").encode(), kinds.NORMAL) for piece in pieces]
        tokens = [token for token, _ in entries]
        if len(set(tokens)) != len(tokens) or not pieces:
            raise ValueError("Pieces must be there, unique, and none of them a single printable ASCII character.")
        return cls(tokens, [int(kind) for _, kind in entries], first)


def _add_metadata(
    writer: Any, vocabulary: _Vocabulary, width: int, *, name: str, context: int, template: str | None
) -> None:
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(width // 32)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(32)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary.tokens))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary.tokens)
    # Merging prefers high scores: the pieces' low ones keep a prompt from being read as pieces too eagerly.
    pieces = len(vocabulary.tokens) - vocabulary.first
    writer.add_token_scores([0.0] * vocabulary.first + [-float(rank) for rank in range(1, pieces + 1)])
    writer.add_token_types(vocabulary.types)
    writer.add_unk_token_id(vocabulary.UNKNOWN)
    writer.add_bos_token_id(vocabulary.BEGIN)
    writer.add_eos_token_id(vocabulary.END)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    if template is not None:
        writer.add_chat_template(template)


def _tensors(vocabulary: _Vocabulary, width: int, *, loop: bool, logit: float, marked: bool) -> dict[str, NDArray[Any]]:
    """Every tensor of the model by name; rows are outputs, as in llama.cpp."""
    size, first = len(vocabulary.tokens), vocabulary.first
    embedding = np.zeros((size, width), np.float16)
    embedding[np.arange(size), np.arange(size)] = 1
    output = np.zeros((size, width), np.float16)
    begins = first - 1 if marked else 0
    output[vocabulary.END, :begins] = logit
    output[first, begins:first] = logit
    for before, after in pairwise(range(first, size)):
        output[after, before] = logit
    output[first if loop else vocabulary.END, size - 1] = logit
    blocks = {
        "attn_q": (width, width),
        "attn_k": (32, width),
        "attn_v": (32, width),
        "attn_output": (width, width),
        "ffn_gate": (32, width),
        "ffn_up": (32, width),
        "ffn_down": (width, 32),
    }
    norms = ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
    return {
        "token_embd": embedding,
        "output": output,
        **{norm: np.ones(width, np.float32) for norm in norms},
        **{f"blk.0.{block}": np.zeros(shape, np.float16) for block, shape in blocks.items()},
    }
