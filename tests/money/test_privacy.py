"""After priced traffic of every kind, nothing of it is on the disk or in the log."""

import httpx

from lightphon_core import log
from lightphon_core.settings import LogSettings
from lightphon_core.testing.scripted import chunk, usage


def test_canaries(start_priced, tmp_path, capfd):
    log.configure(LogSettings(level="debug"))
    prompt, answer = "CANARY-PROMPT-51c0", "CANARY-ANSWER-e77d"

    async def reply(job):
        yield chunk({"content": answer})
        if b"break" in job.body:
            raise RuntimeError(job.body.decode())
        yield chunk(finish="stop") + usage(5, 3)

    _, running, books = start_priced(reply, funds=10_000)
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "user": "CANARY-USER"}
    headers = {"authorization": f"Bearer {running.api_key}"}
    for path in ("/v1/chat/completions", f"/api/agent/{running.agent_token}/v1/chat/completions"):
        for stream in (True, False):
            for extra in ("", "break"):
                content = {**body, "stream": stream, "messages": [{"role": "user", "content": prompt + extra}]}
                httpx.post(running.url + path, json=content, headers=headers)
    httpx.get(running.url + "/api/wallet", headers=headers)
    assert books.charges() > 0
    tables = books.dump()
    running.server.stop()
    captured = capfd.readouterr()
    logged = captured.out + captured.err
    assert "cost_msat" in logged
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in files) + tables.encode()
    assert "test-model" in tables
    for canary in (prompt, answer, "CANARY-USER", running.api_key, running.agent_token):
        assert canary not in logged
        assert canary.encode() not in stored
