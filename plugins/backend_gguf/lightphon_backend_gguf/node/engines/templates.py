"""Renders a model's chat template, which is a program out of the model's file. The only module that imports jinja2."""

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

RENDER_S = 2.0
"""How long a template may take. It runs in the main thread of a process that serves one model."""


class TemplateFailed(Exception):
    """The template refused the messages, broke or took too long. The text may quote the messages."""


class ChatTemplate:
    """A template, compiled once, with the tools of a page of transformers: raise_exception, strftime_now, tojson."""

    def __init__(self, source: str, tokens: Mapping[str, str]) -> None:
        """`tokens` are variables for the template: bos_token and eos_token. TemplateFailed if it is no template."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
        )
        environment.globals |= {"raise_exception": _raise, "strftime_now": time.strftime}
        environment.filters["tojson"] = _tojson
        self._tokens = tokens
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise TemplateFailed(f"the chat template is not one: {error}") from None

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The prompt, up to where the answer begins. Call it in the main thread."""
        try:
            with _limited(RENDER_S):
                return self._template.render(messages=messages, add_generation_prompt=True, **self._tokens)
        except TemplateFailed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a program from a file may raise
            raise TemplateFailed(f"{type(error).__name__}: {error}") from None


def _raise(message: object) -> NoReturn:
    raise TemplateFailed(str(message))


def _tojson(value: object, indent: int | None = None, **_: object) -> str:
    """Unlike Jinja's own, for prompts rather than for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TemplateFailed in the block when its time is up. Windows has no such timer."""
    if sys.platform == "win32":
        yield
        return

    def late(*_: object) -> NoReturn:
        raise TemplateFailed(f"the chat template took more than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
