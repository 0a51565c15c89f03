"""The programs that the web app shows how to set up, and what each of them needs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import evolve, frozen

from lightphon_core.openai.selection import AUTO
from lightphon_core.web.pages.guide import snippets
from lightphon_core.web.pages.guide.snippets import Fill


@frozen
class Snippet:
    """Text to copy, in a language such as "python". `where` says where it goes; None where that is plain."""

    language: str
    text: str
    where: str | None = None


@frozen
class Client:
    """A program that asks, and how it is set up: by `snippets`, or by `fields` of its own settings, as (name, value).

    `needs` is what installs it. `sends_filters`: a request of its can have a `route`; for the others a key has it.
    """

    id: str
    name: str
    snippets: Sequence[Snippet] = ()
    fields: Sequence[tuple[str, str]] = ()
    needs: str | None = None
    sends_filters: bool = False
    notes: Sequence[str] = ()


def clients(fill: Fill) -> list[Client]:
    """All of them, in the order in which they are shown."""
    return [make(fill) for make in _CLIENTS]


def _curl(fill: Fill) -> Client:
    return Client("curl", "curl", [Snippet("sh", snippets.curl(fill))], sends_filters=True)


def _python(fill: Fill) -> Client:
    return Client(
        "python", "Python", [Snippet("python", snippets.python(fill))], needs="pip install openai", sends_filters=True
    )


def _node(fill: Fill) -> Client:
    return Client("node", "Node", [Snippet("js", snippets.node(fill))], needs="npm install openai", sends_filters=True)


def _langchain(fill: Fill) -> Client:
    made = [Snippet("python", snippets.langchain(fill))]
    return Client("langchain", "LangChain", made, needs="pip install langchain-openai", sends_filters=True)


def _aider(fill: Fill) -> Client:
    made = [
        Snippet("sh", snippets.aider(fill)),
        Snippet(
            "json", snippets.aider_metadata(fill), ".aider.model.metadata.json, so that Aider knows the model's size"
        ),
    ]
    return Client("aider", "Aider", made, needs="python -m pip install aider-chat")


def _continue(fill: Fill) -> Client:
    return Client("continue", "Continue", [Snippet("yaml", snippets.continue_config(fill), "config.yaml")])


def _cursor(fill: Fill) -> Client:
    return Client(
        "cursor",
        "Cursor",
        fields=[("OpenAI API Key", fill.key), ("Override OpenAI Base URL", fill.base_url), ("model", fill.model)],
        notes=[
            "In Settings, Models, API Keys; then add a model of that name.",
            "Cursor's own servers send the requests, so this server needs a public https address.",
        ],
    )


def _openclaw(fill: Fill) -> Client:
    # OpenClaw is told of both; what was chosen is the one it uses.
    shown = fill if fill.model == AUTO else evolve(fill, example=fill.model)
    exported = [Snippet("sh", snippets.openclaw_environment(), "and the environment of its gateway")]
    return Client(
        "openclaw",
        "OpenClaw",
        [
            Snippet("sh", snippets.openclaw_onboarding(fill), "a terminal, where OpenClaw is new on the machine"),
            Snippet("json5", snippets.openclaw_config(shown), "otherwise ~/.openclaw/openclaw.json"),
            *([] if fill.by_token else exported),
        ],
        notes=["The model has to take tools. Its prompts begin with several thousand tokens, which are charged."],
    )


_CLIENTS: Final[Sequence[Callable[[Fill], Client]]] = (
    _curl, _python, _node, _langchain, _aider, _continue, _cursor, _openclaw,
)  # fmt: skip
