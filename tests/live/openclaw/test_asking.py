"""OpenClaw asks LightPhon: the real one, set up as docs/openclaw.md has it."""

import json
import shlex

import pytest
from lightphon_backend_gguf.testing import scripted

from lightphon_core.testing.agent import HEADERS, agent_request

pytestmark = pytest.mark.openclaw

SAID = scripted.GREETING.text
YAML = """\
models:
  providers:
    - name: lightphon
      api: openai-completions
      baseUrl: https://lightphon.com/v1
      apiKey: "your-api-key"
      models:
        - name: auto               # router picks best model
        - name: Qwen/Qwen2.5-Coder-14B-Instruct-GGUF  # or a specific model
"""
"""As the public guide has it."""


def test_with_tools(house):
    """The body of an agent with its tools, through LightPhon to llama.cpp."""
    before = house.bills("answers")
    assert house.openclaw.ask("openclaw/main").json()["choices"][0]["message"]["content"] == SAID
    (bill,) = house.bills("answers")[len(before) :]
    assert bill.model == "helper"


@pytest.mark.parametrize("agent", ["answers", "marked"])
def test_a_chat_is_answered_by_a_node_and_billed(house, agent):
    """`answers` is of the page, and sends its header; the key of `marked` says the same."""
    before = house.bills(agent)
    answer = house.openclaw.ask(f"openclaw/{agent}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == SAID
    (bill,) = house.bills(agent)[len(before) :]
    assert (bill.model, bill.cost_msat) == ("helper", house.node_price_msat)
    told = answer.json()["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"]) == (bill.prompt_tokens, bill.completion_tokens)


def test_streamed(house):
    before = house.bills("answers")
    answer = house.openclaw.ask("openclaw/answers", stream=True)
    *events, done = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]) == SAID
    assert len(house.bills("answers")) == len(before) + 1


def test_a_model_by_its_name(house):
    before = house.bills("answers")
    assert house.openclaw.ask("openclaw/named").json()["choices"][0]["message"]["content"] == SAID
    (bill,) = house.bills("answers")[len(before) :]
    assert bill.model == "helper"


def test_what_it_sends(house, recorder):
    """As docs/openclaw.md says it, and as `lightphon_core.testing.agent` makes it up for all other tests."""
    sent = []
    for agent in ("plain", "hands"):
        assert house.openclaw.ask(f"openclaw/{agent}").status_code == 200
        headers, body = recorder.requests[-1]
        assert headers["x-lightphon-client"] == "openclaw"
        assert HEADERS.keys() <= headers.keys()
        assert body["stream"] is body["stream_options"]["include_usage"] is True
        sent.append(body)
    plain, hands = sent
    assert hands.keys() == plain.keys() | {"tools", "tool_choice"}
    made = agent_request()
    assert hands.keys() <= made.keys()
    assert len(hands["tools"]) == len(made["tools"]) == 12
    assert [round(len(json.dumps(body)), -4) for body in (plain, hands, made)] == [10_000, 30_000, 30_000]
    for body in (hands, made):
        assert {type(message["content"]) for message in body["messages"]} >= {str, list}
        roles = [message["role"] for message in body["messages"]]
        assert ["user", "user"] in [roles[at : at + 2] for at in range(len(roles))]


def test_onboarding_in_one_line_writes_a_provider_that_works(new_openclaw, house, page):
    (line,) = [block for block in page("sh") if "openclaw onboard" in block]
    line = line.replace("\\\n", " ").replace("https://lightphon.com", house.system.url)
    line = line.replace("your-api-key", house.keys["answers"])
    program, *arguments = shlex.split(line)
    assert program == "openclaw"
    openclaw = new_openclaw()
    done = openclaw.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    provider = json.loads(openclaw.settings.read_text())["models"]["providers"]["lightphon"]
    assert provider["baseUrl"] == f"{house.system.url}/v1"
    before = house.bills("answers")
    said = openclaw.run("agent", "--local", "--agent", "main", "--message", "Hello!")
    assert said.returncode == 0, said.stdout + said.stderr
    assert SAID in said.stdout
    assert len(house.bills("answers")) > len(before)


def test_the_page_is_valid_and_the_older_yaml_is_not(new_openclaw, page):
    openclaw = new_openclaw(LIGHTPHON_API_KEY="k")
    for block in page("json5"):
        openclaw.configure(block)
        done = openclaw.run("config", "validate")
        assert done.returncode == 0, done.stdout + done.stderr
    openclaw.configure(YAML)
    assert openclaw.run("config", "validate").returncode != 0
