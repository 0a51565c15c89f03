"""Images through llama.cpp: from the file that is configured to what the engine answers, and does not do."""

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from lightphon_backend_gguf.node.dialect import Feature
from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.engines.llamaserver import LlamaServer, LlamaServerSettings, arguments
from lightphon_backend_gguf.node.models.gguf import GgufError
from lightphon_backend_gguf.node.models.projector import MOST_TOKENS, Projector, read_projector
from lightphon_backend_gguf.node.models.sources import HubSource, LocalSource
from lightphon_backend_gguf.node.planning.check import judge, lines
from lightphon_backend_gguf.node.planning.config import ModelTable, NodeConfig
from lightphon_backend_gguf.node.planning.locate import Located, locate
from lightphon_backend_gguf.node.planning.plan import PlanError, Planned, plan
from lightphon_backend_gguf.node.planning.preview import NotHere, preview
from lightphon_backend_gguf.node.planning.wishes import Given, Wish, WishError, wishes
from lightphon_backend_gguf.node.serving.failures import UNREADABLE
from lightphon_backend_gguf.node.serving.upstream import Upstream
from lightphon_backend_gguf.protocol.hardware import Hardware, Machine
from lightphon_backend_gguf.protocol.messages import JobFailed
from lightphon_backend_gguf.testing import projector, scripted
from lightphon_backend_gguf.testing.projector import IMAGE_TOKENS, image_part, png

from lightphon_core.serving.meter import TOKENS_PER_IMAGE

PIXEL = "R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="
CUT_OFF = png(64, 64)[:60]
SAYS = scripted.GREETING.text


@pytest.fixture(scope="module")
def eyes(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return projector.build(tmp_path_factory.mktemp("eyes") / "mmproj-greeting.gguf", models / "greeting.gguf")


@asynccontextmanager
async def asking(engine: Engine) -> AsyncGenerator[Any]:
    """Asks a started engine with these parts: the text of the answer, and its prompt tokens."""
    endpoint = await engine.start()
    try:
        async with Upstream() as upstream:

            async def ask(*parts: Any) -> tuple[str, int]:
                content = [{"type": "text", "text": "What is it?"}, *parts]
                body = {"messages": [{"role": "user", "content": content}], "temperature": 0}
                sent = json.dumps(body).encode()
                answer = upstream.post(endpoint, "/v1/chat/completions", sent, timeout_s=30)
                told = json.loads(b"".join([part async for part in answer]))
                return told["choices"][0]["message"]["content"], told["usage"]["prompt_tokens"]

            yield ask
    finally:
        await engine.stop()


def llama_cpp(model: Path, eyes: Path) -> LlamaCpp:
    return LlamaCpp(LlamaCppSettings(model, "served", 2, 512, 1, mmproj=read_projector(eyes)))


async def check_images(asked: AbstractAsyncContextManager[Any]) -> None:
    async with asked as ask:
        alone = (await ask())[1]
        assert await ask(image_part(png())) == (SAYS, alone + IMAGE_TOKENS)
        pixel = {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{PIXEL}"}}
        assert await ask(pixel, image_part(png(300, 200))) == (SAYS, alone + 2 * IMAGE_TOKENS)
        with pytest.raises(JobFailed) as caught:
            await ask(image_part(CUT_OFF))
        assert (caught.value.kind, caught.value.param, caught.value.message) == ("refused", "messages", UNREADABLE)
        assert await ask(image_part(png())) == (SAYS, alone + IMAGE_TOKENS), "it goes on after a broken image"


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once a program with one of ffmpeg's names was started."""
    found = tmp_path / "started"
    for name in ("ffmpeg", "ffprobe"):
        (tmp_path / name).write_text(f"#!/bin/sh\n: > {found}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return found


async def test_an_image_becomes_tokens_of_the_prompt(models: Path, eyes: Path, started: Path) -> None:
    await check_images(asking(llama_cpp(models / "greeting.gguf", eyes)))
    assert not started.exists(), "what a stranger sends goes to no other program"


async def test_a_projector_of_another_model_is_refused_by_the_engine(models: Path, eyes: Path, tmp_path: Path) -> None:
    wide = scripted.ENDLESS.write(tmp_path / "wide.gguf")
    with pytest.raises(EngineError, match="mismatch between text model") as caught:
        await llama_cpp(wide, eyes).start()
    assert caught.value.lasting


def test_what_a_file_has_to_be(models: Path, eyes: Path, tmp_path: Path) -> None:
    assert read_projector(eyes) == Projector(eyes, "mlp", eyes.stat().st_size)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(eyes.read_bytes()[:-1])
    deaf = projector.build(tmp_path / "sound.gguf", models / "greeting.gguf", vision=False)
    for path, reason in (
        (cut, "The GGUF file is incomplete"),
        (deaf, "this projector is not for images"),
        (models / "greeting.gguf", "this is no projector for images"),
        (tmp_path / "none.gguf", "there is no such file"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(GgufError, match=reason) as caught:
            read_projector(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_what_a_kind_of_projector_needs(models: Path, eyes: Path) -> None:
    plain = read_projector(eyes)
    assert (plain.batch, plain.most_tokens) == (None, None)
    qwen, gemma = evolve(plain, kind="qwen3vl_merger"), evolve(plain, kind="gemma4v")
    assert qwen.most_tokens == MOST_TOKENS
    assert MOST_TOKENS + len(("<|vision_start|>", "<|vision_end|>")) <= TOKENS_PER_IMAGE, "what is counted is paid"
    assert (gemma.batch, gemma.most_tokens, qwen.batch) == (1120, None, None)
    settings = LlamaServerSettings(Path("/bin/llama-server"), models / "greeting.gguf", "m", 1, 512, 1, mmproj=gemma)
    said = arguments(settings, 1)
    assert said[said.index("--mmproj") + 1] == str(eyes)
    assert [said[said.index(name) + 1] for name in ("--batch-size", "--ubatch-size")] == ["1120", "1120"]
    assert not {"--mmproj", "--batch-size"} & set(arguments(evolve(settings, mmproj=None), 1))


async def planned(model: Path, eyes: Path | None, **wish: Any) -> Planned:
    located = Located(Wish(LocalSource(model), **wish), model, None, eyes)
    (only,) = await plan([located], threads=1)
    return only


async def test_the_offer_sees_and_the_file_counts(models: Path, eyes: Path) -> None:
    model = models / "greeting.gguf"
    plain, seeing = await planned(model, None), await planned(model, eyes)
    assert set(seeing.offer.model.capabilities) - set(plain.offer.model.capabilities) == {"vision"}
    assert Feature.VISION in seeing.engine().dialect.features
    assert Feature.VISION not in plain.engine().dialect.features
    assert plain.weights
    assert seeing.weights == plain.weights + eyes.stat().st_size
    assert plain.memory_estimate
    assert seeing.memory_estimate == plain.memory_estimate + eyes.stat().st_size
    assert seeing.offer.model.file_bytes == plain.offer.model.file_bytes


async def test_what_cannot_go_together(models: Path, eyes: Path, tmp_path: Path) -> None:
    model, source = models / "greeting.gguf", LocalSource(models / "greeting.gguf")
    renamed = tmp_path / "vision.gguf"
    renamed.write_bytes(eyes.read_bytes())
    with pytest.raises(PlanError, match=r"vision\.gguf: this is no model, but a projector"):
        await planned(renamed, None)
    with pytest.raises(PlanError, match="ctransformers takes no images: leave mmproj out"):
        await planned(model, eyes, engine="ctransformers")
    vectors = scripted.build(tmp_path / "vectors.gguf", ["a word"], embedding=True)
    with pytest.raises(PlanError, match=r"vectors\.gguf: this model makes embeddings"):
        await planned(vectors, eyes)
    folder = LocalSource(models)
    with pytest.raises(WishError, match="name the one that mmproj belongs to"):
        locate([Wish(folder, mmproj=LocalSource(eyes))], lambda asked: model)
    assert not any(item.mmproj for item in locate([Wish(source)], lambda asked: model))


def test_what_mmproj_means(tmp_path: Path) -> None:
    tables = (ModelTable("a.gguf", mmproj="sub/eyes.gguf"), ModelTable("b.gguf"))
    config = NodeConfig(models=tables, folder=tmp_path)
    assert [wish.mmproj for wish in wishes(Given(), config)] == [LocalSource(tmp_path / "sub/eyes.gguf"), None]
    (only,) = wishes(Given(models=["hf:o/r:Q4_K_M"], mmproj="hf:o/r/mmproj-F16.gguf"), config)
    remote = HubSource("o/r", quantization="F16", file="mmproj-F16.gguf")
    assert only.mmproj == remote
    fetched: list[HubSource] = []

    def fetch(source: HubSource) -> Path:
        fetched.append(source)
        return tmp_path / (source.file or "model.gguf")

    assert locate([only], fetch) == [Located(only, tmp_path / "model.gguf", "o/r", tmp_path / "mmproj-F16.gguf")]
    assert fetched == [only.source, remote]
    local = wishes(Given(models=["a.gguf"], mmproj="eyes.gguf"), NodeConfig())
    assert locate(local, fetch) == [Located(local[0], Path("a.gguf"), None, Path("eyes.gguf"))]
    for given, message in (
        (Given(models=["a", "b"], mmproj="c"), "--mmproj is for one MODEL"),
        (Given(models=["a"], mmproj="hf:o/r:Q8_0"), "^--mmproj: 'hf:o/r:Q8_0' is no file: give a path, or hf:OWNER"),
        (Given(models=["a"], mmproj="openai:http://127.0.0.1:1"), "is no file"),
        (Given(models=["a"], mmproj=""), "^--mmproj: "),
        (Given(models=["openai:http://127.0.0.1:1"], mmproj="c"), "has its own mmproj; leave it out here"),
    ):
        with pytest.raises(WishError, match=message):
            wishes(given, NodeConfig())


async def test_check_tells_of_the_file_and_of_one_that_is_not_used(models: Path, eyes: Path, tmp_path: Path) -> None:
    model, beside = tmp_path / "m.gguf", tmp_path / "mmproj-m.gguf"
    model.write_bytes((models / "greeting.gguf").read_bytes())
    beside.write_bytes(eyes.read_bytes())

    async def told(wish: Wish, *here: HubSource) -> Any:
        def look(source: HubSource) -> Path | NotHere:
            return model if source in here else NotHere(source.file or "m-Q4_0.gguf", 2**30)

        (report,), wrong = await preview([wish], look, threads=1)
        assert not wrong
        return report

    unused = await told(Wish(LocalSource(model)))
    assert unused.note == "mmproj-m.gguf lies beside it, and is not used; with it as mmproj the model takes images."
    assert "vision" not in unused.facts.capabilities
    used = await told(Wish(LocalSource(model), mmproj=LocalSource(beside)))
    assert (used.note, used.mmproj, used.weights) == (None, str(beside), unused.weights + beside.stat().st_size)
    report = judge(Hardware(), Machine(), (), (used,), python="p")
    assert f"    images  {beside}" in lines(report)
    wrong = await told(Wish(LocalSource(model), mmproj=LocalSource(model)))
    assert "this is no projector for images" in wrong.problem
    (tmp_path / "other.gguf").touch()
    assert (await told(Wish(LocalSource(model)))).note is None, "nobody knows which of the two it belongs to"

    source, file = HubSource("o/r", "Q4_0"), HubSource("o/r", file="mmproj.gguf")
    both = await told(Wish(source, mmproj=file))
    assert (both.id, both.weights, both.mmproj) == ("o/r", 2**31, "hf:o/r/mmproj.gguf")
    assert both.note.startswith("`run` downloads m-Q4_0.gguf and mmproj.gguf first, 2.0 GiB")
    for wish in (Wish(source, mmproj=file), Wish(LocalSource(model), mmproj=file)):
        one = await told(wish, source)
        assert (one.weights, one.note.startswith("`run` downloads mmproj.gguf first")) == (None, True)


@pytest.mark.llama_server
async def test_images_through_a_llama_server(models: Path, eyes: Path, llama_server: Path) -> None:
    settings = LlamaServerSettings(
        llama_server, models / "greeting.gguf", "served", 2, 512, 1, gpu_layers=0, mmproj=read_projector(eyes)
    )
    await check_images(asking(LlamaServer(settings)))
