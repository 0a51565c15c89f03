"""One model in ctransformers, from text to tokens and back. The only module that imports ctransformers."""

import ctypes
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import frozen

from lightphon_backend_gguf.node.engines.ctransformers_files import KEPT, KINDS, TOKENS
from lightphon_backend_gguf.node.models.gguf import read_header

BATCH = 64
"""Prompt tokens between two looks at whether somebody still wants the answer."""

_CONTROL, _USER_DEFINED = 3, 4
_SEED_STEP = 0x9E3779B1
_SEEDS = 2**31


@frozen
class Sampling:
    """How tokens are drawn. `top_k` of 1 is greedy. `seed` makes an answer repeatable."""

    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 40
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    seed: int = 0


class NativeModel:
    """A loaded model. One thread at a time."""

    def __init__(self, path: Path, *, context: int, threads: int, gpu_layers: int) -> None:
        """RuntimeError or OSError if it cannot be loaded."""
        with path.open("rb") as file:
            header = read_header(file, keep=KEPT)
        tokens, types = header.metadata[TOKENS], header.metadata[KINDS]
        assert isinstance(tokens, tuple)
        assert isinstance(types, tuple)
        kinds = dict(enumerate(types))
        self._special = {
            str(text): at for at, text in enumerate(tokens) if kinds[at] in (_CONTROL, _USER_DEFINED) and text
        }
        longest_first = sorted(self._special, key=len, reverse=True)
        self._specials = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if longest_first else None
        self._control = {at for at, kind in kinds.items() if kind == _CONTROL}
        self._adds_bos = header.metadata.get("tokenizer.ggml.add_bos_token", True) is True
        self.template = header.metadata.get("tokenizer.chat_template")
        self.context = context
        self._threads = threads
        library = _import()
        config = library.Config(context_length=context, threads=threads, gpu_layers=gpu_layers, batch_size=BATCH)
        self._llm = library.LLM(str(path), config=config, lib=None if gpu_layers else _build())
        self._bos = self._llm.bos_token_id
        self.tokens = {"bos_token": self._text_of(tokens, self._bos), "eos_token": self._text_of(tokens, self._end)}

    @property
    def _end(self) -> int:
        return int(self._llm.eos_token_id)

    @staticmethod
    def _text_of(tokens: tuple[object, ...], at: int) -> str:
        return str(tokens[at]) if 0 <= at < len(tokens) else ""

    def tokenize(self, text: str) -> list[int]:
        """The prompt's tokens. What is the text of a special token becomes that token, as in llama.cpp's server."""
        parts = self._specials.split(text) if self._specials else [text]
        found: list[int] = []
        for part in parts:
            if part in self._special:
                found.append(self._special[part])
            elif part:
                found += self._plain(part)
        if self._adds_bos and found[:1] != [self._bos]:
            found.insert(0, self._bos)
        return found

    def _plain(self, text: str) -> list[int]:
        # The library's own `tokenize` counts characters for the size of its buffer, and text of many bytes overflows
        # it. A byte is one token at most, and a space is put before the text.
        encoded = text.replace("\0", " ").encode()
        buffer = (ctypes.c_int * (2 * len(encoded) + 8))()
        count = self._llm.ctransformers_llm_tokenize(encoded, False, buffer)
        if count < 0:
            raise RuntimeError("the text cannot be read as tokens")
        return buffer[:count]

    def generate(self, tokens: list[int], sampling: Sampling, wanted: Callable[[], bool]) -> Iterator[bytes]:
        """The answer's tokens as bytes, until the model ends it, the context is full or `wanted` says no."""
        rest = list(self._llm.prepare_inputs_for_generation(tokens, reset=True))
        for at in range(0, len(rest), BATCH):
            if not wanted():
                return
            self._llm.eval(rest[at : at + BATCH], batch_size=BATCH, threads=self._threads)
        for number in range(self.context - len(tokens)):
            if not wanted():
                return
            token = self._llm.sample(
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                temperature=sampling.temperature,
                repetition_penalty=sampling.repeat_penalty,
                last_n_tokens=sampling.repeat_last_n,
                # The library seeds anew for each token; the same seed each time would draw the same number.
                seed=(sampling.seed + number * _SEED_STEP) % _SEEDS,
            )
            if self._llm.is_eos_token(token) or token in self._control:
                return
            piece: bytes = self._llm.detokenize([token], decode=False)
            yield piece
            self._llm.eval([token], batch_size=1, threads=self._threads)


def _import() -> Any:
    """The module `ctransformers.llm`, without the part of the package that downloads models.

    That part takes a second to import, and this process has no business on the network.
    """
    hub = ModuleType("ctransformers.hub")
    vars(hub).update(AutoConfig=None, AutoModelForCausalLM=None, AutoTokenizer=None)
    sys.modules.setdefault(hub.__name__, hub)
    return importlib.import_module("ctransformers.llm")


def _build() -> str | None:
    """Which of the library's builds suits the processor, as it would find out in half a second. None leaves it that."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    found = set(flags[1].split()) if flags else set()
    if "avx2" in found:
        return "avx2"
    return "avx" if {"avx", "f16c"} <= found else None
