import json, pathlib, pytest
pytestmark = pytest.mark.openclaw
def test_scratch(house, recorder):
    for agent in ("plain", "hands"):
        a = house.openclaw.ask(f"openclaw/{agent}")
        print(agent, a.status_code, a.text[:300])
        h, b = recorder.requests[-1]
        pathlib.Path(f"/tmp/real-tmp/{agent}.json").write_text(json.dumps([h, b]))
    r = house.system.openai(timeout=60)
    for agent in ("plain","hands"):
        h,b = json.loads(pathlib.Path(f"/tmp/real-tmp/{agent}.json").read_text())
        import httpx
        x = httpx.post(house.system.url+"/v1/chat/completions", json=b, headers={"authorization": f"Bearer {house.keys['answers']}", "x-lightphon-client": "openclaw"}, timeout=60)
        print(agent, x.status_code, x.text[-400:])
    print(house.system.nodes[0].said()[-3000:])
    assert 0
