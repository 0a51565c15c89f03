"""What to paste into a program so that it asks this server: the blocks of docs/clients.md and docs/openclaw.md, which
the tests run, with an address, a model and filters filled in. Pure.

Keys are not filled in here: `KEY` and `TOKEN` stand where they go, and only the browser of whoever made one has it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from textwrap import dedent
from typing import Final

from attrs import field, frozen

from lightphon_core.openai.selection import AUTO

KEY: Final = "your-api-key"
TOKEN: Final = "<your-token>"  # noqa: S105 - where one goes
ANYTHING: Final = "x"
"""What goes where a key would, if the token is in the address: any text will do."""

_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_SLOTS: Final[Mapping[str, str]] = {KEY: "key", TOKEN: "token"}
_SLOT = re.compile(f"({'|'.join(map(re.escape, _SLOTS))})")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/@+-]*")
_YAML_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
_GREETING = [{"role": "user", "content": "Hello!"}]


def can_be_pasted(model: str) -> bool:
    """Whether a model's id may stand in a snippet: it means nothing to a shell, or to any of the other languages. Ids
    are whatever nodes call their models."""
    return _HARMLESS.fullmatch(model) is not None


@frozen
class Fill:
    """What a snippet is filled with. `origin` has no slash at its end. `route` are filters as a request has them, for
    the clients that can send any. `example` is the id of a model beside `auto`, `embedder` that of one for embeddings.
    `context` is the model's, in tokens, for clients that never ask. `infill`: there are models that fill in code."""

    origin: str
    model: str = AUTO
    route: Mapping[str, object] = field(factory=dict)
    by_token: bool = False
    example: str | None = None
    embedder: str | None = None
    infill: bool = True
    context: int = 32768
    max_output: int = 4096

    @property
    def base_url(self) -> str:
        """What clients append /chat/completions and the like to."""
        return f"{self.origin}/api/agent/{TOKEN}/v1" if self.by_token else f"{self.origin}/v1"

    @property
    def key(self) -> str:
        return ANYTHING if self.by_token else KEY


def curl(fill: Fill) -> str:
    """A chat."""
    body = {"model": fill.model, "messages": _GREETING, **_route(fill)}
    key = "" if fill.by_token else f'  -H "Authorization: Bearer {KEY}" \\\n'
    address = f"{fill.base_url}/chat/completions"
    if fill.by_token:
        address = f'"{address}"'  # < and > mean something to a shell, until the token stands there
    return f"curl {address} \\\n{key}  -d {shlex.quote(json.dumps(body))}\n"


def python(fill: Fill) -> str:
    """OpenAI's SDK, a whole answer."""
    head = f'from openai import OpenAI\n\nclient = OpenAI(base_url="{fill.base_url}", api_key="{fill.key}")\n\n'
    if not fill.route:
        return head + (
            f'answer = client.chat.completions.create(model="{fill.model}", '
            'messages=[{"role": "user", "content": "Hello!"}])\n'
            "print(answer.choices[0].message.content)\n"
            'print(answer.model, answer.usage.cost, "sat,", answer.routing_info["node_name"])\n'
        )
    return head + (
        "answer = client.chat.completions.create(\n"
        f'    model="{fill.model}",\n'
        '    messages=[{"role": "user", "content": "Hello!"}],\n'
        f"    extra_body={json.dumps(_route(fill))},\n"
        ")\n"
        "print(answer.choices[0].message.content)\n"
    )


def python_streamed(fill: Fill) -> str:
    """OpenAI's SDK, word by word."""
    return dedent(
        f"""\
        from openai import OpenAI

        client = OpenAI(base_url="{fill.base_url}", api_key="{fill.key}")

        stream = client.chat.completions.create(
            model="{fill.model}",
            messages=[{{"role": "user", "content": "Hello!"}}],
            stream=True,
        )
        for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        """
    )


def node(fill: Fill) -> str:
    """OpenAI's SDK for JavaScript, streamed."""
    route = f"  route: {json.dumps(fill.route)},\n" if fill.route else ""
    return (
        'import OpenAI from "openai";\n\n'
        f'const client = new OpenAI({{ baseURL: "{fill.base_url}", apiKey: "{fill.key}" }});\n\n'
        "const stream = await client.chat.completions.create({\n"
        f'  model: "{fill.model}",\n'
        '  messages: [{ role: "user", content: "Hello!" }],\n'
        "  stream: true,\n"
        f"{route}"
        "});\n"
        "for await (const chunk of stream) {\n"
        '  process.stdout.write(chunk.choices[0].delta.content ?? "");\n'
        "}\n"
    )


def langchain(fill: Fill) -> str:
    """ChatOpenAI, a whole answer and a streamed one."""
    head = "from langchain_openai import ChatOpenAI\n\n"
    if fill.route:
        return head + (
            "llm = ChatOpenAI(\n"
            f'    base_url="{fill.base_url}",\n'
            f'    api_key="{fill.key}",\n'
            f'    model="{fill.model}",\n'
            f"    extra_body={json.dumps(_route(fill))},\n"
            ")\n"
            'print(llm.invoke("Hello!").content)\n'
        )
    return head + (
        f'llm = ChatOpenAI(base_url="{fill.base_url}", api_key="{fill.key}", model="{fill.model}")\n'
        'print(llm.invoke("Hello!").content)\n'
        'for chunk in llm.stream("Hello!"):\n'
        '    print(chunk.content, end="", flush=True)\n'
    )


def aider(fill: Fill) -> str:
    """Its environment, and the command."""
    address = f'"{fill.base_url}"' if fill.by_token else fill.base_url
    return (
        f"export OPENAI_API_BASE={address}\n"
        f"export OPENAI_API_KEY={fill.key}\n"
        f"aider --model openai/{fill.model} --edit-format diff\n"
    )


def aider_metadata(fill: Fill) -> str:
    """What Aider cannot know of a model of this name."""
    known = {
        "litellm_provider": "openai",
        "mode": "chat",
        "max_input_tokens": fill.context,
        "max_output_tokens": fill.max_output,
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
    }
    return json.dumps({f"openai/{fill.model}": known}, indent=2) + "\n"


def continue_config(fill: Fill) -> str:
    """Continue's config.yaml: chats, and what else there are models for."""
    models = [("LightPhon", "openai", fill.model, "    capabilities: [tool_use]\n", "chat, edit, apply")]
    if fill.infill:
        models.append(("LightPhon autocomplete", "mistral", AUTO, "", "autocomplete"))
    if fill.embedder is not None:
        models.append(("LightPhon embeddings", "openai", fill.embedder, "", "embed"))
    return "name: LightPhon\nversion: 0.0.1\nschema: v1\nmodels:\n" + "".join(
        f"  - name: {name}\n    provider: {provider}\n    model: {_in_yaml(model)}\n    apiBase: {fill.base_url}\n"
        f"    apiKey: {fill.key}\n{more}    roles: [{roles}]\n"
        for name, provider, model, more, roles in models
    )


def openclaw_onboarding(fill: Fill) -> str:
    """One line for an OpenClaw that is new on the machine."""
    address = f'"{fill.base_url}"' if fill.by_token else fill.base_url
    return (
        "openclaw onboard --non-interactive --accept-risk --mode local \\\n"
        "  --auth-choice custom-api-key --custom-compatibility openai \\\n"
        f"  --custom-provider-id lightphon --custom-base-url {address} \\\n"
        f"  --custom-api-key {fill.key} --custom-model-id {fill.model} \\\n"
        "  --skip-health --no-install-daemon --skip-channels --skip-skills --skip-ui\n"
    )


def openclaw_config(fill: Fill) -> str:
    """OpenClaw's openclaw.json, with the key in its environment."""
    key = fill.key if fill.by_token else "${LIGHTPHON_API_KEY}"
    sizes = f"contextWindow: {fill.context}, maxTokens: {fill.max_output}"
    other = ""
    if fill.example is not None:
        name = fill.example.rpartition("/")[2]
        other = (
            "          // or an id of GET /v1/models:\n"
            f'          {{ id: "{fill.example}", name: "{name}", {sizes} }},\n'
        )
    return (
        "{\n  models: {\n    providers: {\n      lightphon: {\n"
        f'        baseUrl: "{fill.base_url}",\n'
        f'        apiKey: "{key}",\n'
        '        api: "openai-completions",\n'
        "        timeoutSeconds: 600,\n"
        '        headers: { "X-LightPhon-Client": "openclaw" }, // see "Loops"\n'
        "        models: [\n"
        f'          {{ id: "auto", name: "LightPhon auto", {sizes} }},\n'
        f"{other}"
        "        ],\n      },\n    },\n  },\n"
        f'  agents: {{ defaults: {{ model: {{ primary: "lightphon/{fill.model}" }} }} }},\n'
        "}\n"
    )


def openclaw_environment() -> str:
    """Where that has the key."""
    return f"export LIGHTPHON_API_KEY={KEY}\n"


def parts(text: str) -> list[tuple[str, str | None]]:
    """A snippet in order: text, and "key" or "token" where a browser may put its own."""
    return [(each, _SLOTS.get(each)) for each in _SLOT.split(text) if each]


def _in_yaml(model: str) -> str:
    """An id that YAML would take for something else than text is quoted."""
    is_text = _PLAIN.fullmatch(model) is not None and model.lower() not in _YAML_WORDS
    return model if is_text else json.dumps(model)


def _route(fill: Fill) -> dict[str, object]:
    """The member of a request that has the filters, if there are any."""
    return {"route": dict(fill.route)} if fill.route else {}
