"""A stream of several choices, as OpenAI has it: one usage for all of them, at the end. Pure.

llama.cpp's server answers several choices as if they were so many answers: each ends with a usage of its own, the
events of completions are `null` where it has nothing to say yet, and a prompt that is too long is an event too.
"""

import json
from typing import Any

LONGEST_EVENT = 2**20


class BrokenStream(Exception):
    """The stream is not one. `status` and `answer` are of the error that the engine sent in it, if it did."""

    def __init__(self, status: int = 500, answer: bytes = b"") -> None:
        super().__init__(status)  # the answer stays out of tracebacks: it may quote the prompt
        self.status = status
        self.answer = answer


class Several:
    """Takes the bytes of a stream and gives those of the other. `prompts` is how many prompts were sent: the choices of
    one prompt (`n`) read it together, so its tokens count once."""

    def __init__(self, *, prompts: int) -> None:
        self._prompts = prompts
        self._rest = b""
        self._usages: list[dict[str, Any]] = []
        self._last: dict[str, Any] = {}
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """What `data` completes. Raises BrokenStream."""
        *events, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._rest) > LONGEST_EVENT:
            raise BrokenStream
        return b"".join(map(self._event, events))

    def end(self) -> bytes:
        """What is left when the stream has ended."""
        return self._rest

    def _event(self, event: bytes) -> bytes:
        payload = event.removeprefix(b"data:").strip()
        if payload == b"null" or not event.startswith(b"data:"):
            return b""
        if payload == b"[DONE]":
            return self._summary() + b"data: [DONE]\n\n"
        if b'"usage"' not in payload and b'"error"' not in payload:
            self._begun = True
            return event + b"\n\n"
        try:
            told = json.loads(payload)
        except (ValueError, RecursionError):
            raise BrokenStream from None
        if not isinstance(told, dict):
            raise BrokenStream
        error = told.get("error")
        if error and not self._begun:
            code = error.get("code") if isinstance(error, dict) else None
            raise BrokenStream(code if type(code) is int else 500, payload)
        self._begun = True
        if not isinstance(usage := told.get("usage"), dict):
            return event + b"\n\n"
        self._usages.append(usage)
        self._last = {name: value for name, value in told.items() if name != "choices"}
        if not told.get("choices"):
            return b""
        rest = {name: value for name, value in told.items() if name not in ("usage", "timings")}
        return _encoded(rest)

    def _summary(self) -> bytes:
        """The event with the usage of all choices; empty if none was told."""
        if not self._usages:
            return b""
        prompt, completion = self._tokens("prompt_tokens"), self._tokens("completion_tokens")
        read, written = sum(prompt) if self._prompts > 1 else max(prompt), sum(completion)
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return _encoded({**self._last, "choices": [], "usage": usage})

    def _tokens(self, name: str) -> list[int]:
        return [value if type(value := usage.get(name)) is int else 0 for usage in self._usages]


def _encoded(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
