"""LightPhon asks OpenClaw, which asks LightPhon: the real one, set up as docs/openclaw.md has it."""

import json

import httpx
import openai
import pytest
from lightphon_backend_gguf.testing import scripted

from lightphon_core import log
from lightphon_core.settings import LogSettings

pytestmark = pytest.mark.openclaw

SAID = scripted.GREETING.text
WITHIN_S = 120


@pytest.mark.parametrize("stream", [True, False])
def test_there_and_back_billed_on_both_legs(house, stream):
    """The client pays for OpenClaw's minutes, and OpenClaw's key for the node's answer."""
    client, claw = house.bills(None), house.bills("answers")
    asked = house.system.ask("openclaw/answers", client=house.system.openai(timeout=WITHIN_S), stream=stream)
    if stream:
        chunks = list(asked)
        text, last = "".join(chunk.choices[0].delta.content or "" for chunk in chunks), chunks[-1]
    else:
        text, last = asked.choices[0].message.content, asked
    assert text == SAID
    assert last.model == "openclaw/answers"
    assert (last.routing_info["backend"], last.routing_info["node_name"]) == ("openclaw", "OpenClaw")
    (paid,) = house.bills(None)[len(client) :]
    assert (paid.model, paid.cost_msat) == ("openclaw/answers", last.usage.cost_msat)
    assert 0 < paid.cost_msat < house.node_price_msat
    (inner,) = house.bills("answers")[len(claw) :]
    assert (inner.model, inner.cost_msat) == ("helper", house.node_price_msat)


def test_its_models_are_listed_as_its_own(house):
    listed = {each.id: each for each in house.system.openai().models.list()}
    assert {"openclaw", "openclaw/default", "openclaw/answers"} <= listed.keys()
    assert {each.owned_by for name, each in listed.items() if name.startswith("openclaw")} == {"OpenClaw"}
    assert listed["helper"].owned_by != "OpenClaw"


def variables(page, **others):
    """The page's environment variables, with `others` in place of what stands there."""
    (block,) = [block for block in page("sh") if "OPENCLAW_BASE_URL=" in block]
    lines = (line.partition("#")[0].strip() for line in block.splitlines())
    environ = dict(line.removeprefix("export ").split("=", 1) for line in lines if line)
    assert others.keys() <= environ.keys()
    return {**environ, **others}


def test_from_its_start_to_its_end(new_openclaw, configuration, start_system, page, until, capfd):
    """LightPhon starts first, and finds it while it starts; its models leave with it."""
    log.configure(LogSettings(level="debug"))
    openclaw = new_openclaw(LIGHTPHON_API_KEY="none")
    environ = variables(page, OPENCLAW_BASE_URL=openclaw.url, OPENCLAW_API_KEY=openclaw.token)
    system = start_system(openclaw={"refresh_s": 1.0}, environ=environ)
    openclaw.configure(json.dumps(configuration(openclaw, system.url)))
    openclaw.start()
    assert system.seen() == []
    models = environ["OPENCLAW_MODELS"].split(",")
    until(lambda: system.on_offer(*(f"{environ['OPENCLAW_NODE_NAME']}:{model}" for model in models)), WITHIN_S)
    openclaw.stop()
    until(lambda: system.seen() == [], WITHIN_S)
    with pytest.raises(openai.InternalServerError) as offline:
        system.ask(models[0])
    assert (offline.value.status_code, offline.value.code) == (503, "no_nodes_available")
    told = capfd.readouterr()
    assert openclaw.token not in told.out + told.err


def test_its_endpoint_is_off(new_openclaw, configuration, start_system, until, capfd):
    """Which it is unless told: the log names the setting."""
    log.configure(LogSettings(level="debug"))
    openclaw = new_openclaw(LIGHTPHON_API_KEY="none")
    settings = configuration(openclaw, "http://127.0.0.1:1")
    del settings["gateway"]["http"]
    openclaw.configure(json.dumps(settings))
    openclaw.start()
    until(openclaw.is_up, WITHIN_S)
    assert httpx.get(f"{openclaw.url}/v1/models", trust_env=False).status_code == 404
    instance = {"base_url": openclaw.url, "api_key": openclaw.token}
    system = start_system(openclaw={"refresh_s": 1.0, "instances": {"OpenClaw": instance}})
    lines = []

    def named():
        lines.extend(capfd.readouterr().err.splitlines())
        return [line for line in lines if "gateway.http.endpoints.chatCompletions.enabled" in line]

    until(named, WITHIN_S)
    assert system.seen() == []
