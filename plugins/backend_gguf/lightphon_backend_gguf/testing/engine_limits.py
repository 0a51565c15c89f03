"""What an engine has to do with requests and files that it does not take, and when it ends."""

from __future__ import annotations

import asyncio
from typing import Any

from lightphon_backend_gguf.node.dialect import Feature
from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.protocol.messages import JobFailed
from lightphon_backend_gguf.testing import scripted
from lightphon_backend_gguf.testing.engine_rig import CONTEXT, PATIENCE_S, Check, Rig, raised, within


async def check_overflow(rig: Rig) -> None:
    """A prompt that is longer than the context is refused, by name, and the engine goes on."""
    async with rig.running() as engine:
        for stream in (True, False):
            secret = [{"role": "user", "content": "secret " * 2 * CONTEXT}]
            failed = await engine.refusal(messages=secret, stream=stream)
            assert failed.code == "context_length_exceeded", "a prompt that is too long is context_length_exceeded"
            assert "secret secret" not in failed.message, "a refusal does not quote the prompt"
        assert await engine.says() == (scripted.GREETING.text, "stop"), "the engine goes on after a refusal"


async def check_broken_files(rig: Rig) -> None:
    """A file that is missing, truncated or corrupt is one clear error, and nothing else suffers."""
    whole = rig.write(scripted.GREETING).read_bytes()
    cases = {"missing": None, "truncated": whole[:-1000], "headless": whole[:2000], "corrupt": b"hello" * 1000}
    async with rig.running() as healthy:
        for name, content in cases.items():
            path = rig.folder / f"{name}.gguf"
            if content is not None:
                path.write_bytes(content)
            engine = rig.bench.engine(path, context=CONTEXT)
            async with within(PATIENCE_S, f"an engine with a {name} file gives up"):
                error = await raised(EngineError, engine.start(), f"an engine with a {name} file does not start")
            assert str(path) in str(error), "the error names the file"
            assert "\n" not in str(error), "the error is one line"
            await engine.stop()
        assert await healthy.says() == (scripted.GREETING.text, "stop"), "another engine goes on meanwhile"


async def check_parameters_off_the_list(rig: Rig) -> None:
    """What is not on the engine's list does not reach it."""
    off: dict[str, Any] = {"n_predict": 1, "max_new_tokens": 1, "id_slot": 77, "chat_template": "{{ 1 / 0 }}", "x": "y"}
    async with rig.running() as engine:
        unknown = {name: value for name, value in off.items() if name not in engine.engine.dialect.parameters}
        assert unknown == off, f"{sorted(set(off) - set(unknown))} should not be on the engine's list"
        assert await engine.says(**off) == (scripted.GREETING.text, "stop"), "parameters off the list change nothing"


async def check_lacking(rig: Rig) -> None:
    """What the engine does not say that it can do is refused by name, and so are more choices than it has slots."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    asked: dict[Feature, dict[str, Any]] = {
        Feature.TOOLS: {"tools": [tool]},
        Feature.JSON: {"response_format": {"type": "json_object"}},
        Feature.LOGPROBS: {"logprobs": True},
        Feature.CHOICES: {"n": 2},
    }
    image = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/x.png"}}
    async with rig.running() as engine:
        for feature, body in asked.items():
            if feature not in engine.engine.dialect.features:
                failed = await engine.refusal(**body)
                assert failed.param in body, f"a refusal for want of {feature} names the parameter"
        failed = await engine.refusal(n=rig.bench.slots + 1)
        assert failed.param == "n", "a refusal of too many choices names the parameter"
        await engine.refusal(messages=[{"role": "user", "content": [image]}])


async def check_end(rig: Rig) -> None:
    """An engine that ends says so in a few words; stopping twice does no harm; what is asked later is unavailable."""
    async with rig.running() as engine:
        exited = asyncio.create_task(engine.engine.exited())
        await engine.engine.stop()
        async with within(PATIENCE_S, "exited() returns when the engine is stopped"):
            how = await exited
        assert how, "exited() says how"
        assert "\n" not in how, "exited() says it on one line"
        await engine.engine.stop()
        failed = await raised(JobFailed, engine.events(), "an engine that has ended answers no more")
        assert failed.kind == "unavailable", "an engine that has ended is unavailable"


CHECKS: list[Check] = [
    check_overflow,
    check_broken_files,
    check_parameters_off_the_list,
    check_lacking,
    check_end,
]
