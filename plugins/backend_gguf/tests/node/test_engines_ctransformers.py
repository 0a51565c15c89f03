"""What is ctransformers' own: which files it takes, its text, its templates, its tokens."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
from lightphon_backend_gguf.demo.model import find_demo_model
from lightphon_backend_gguf.node.engines import templates
from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.node.engines.ctransformers import CTransformers, CTransformersSettings, check
from lightphon_backend_gguf.node.engines.ctransformers_files import missing
from lightphon_backend_gguf.node.engines.templates import ChatTemplate, TemplateFailed
from lightphon_backend_gguf.node.engines.text import TextCutter
from lightphon_backend_gguf.node.models.gguf import Header, Tensor
from lightphon_backend_gguf.node.serving.upstream import Upstream
from lightphon_backend_gguf.protocol.messages import JobFailed
from lightphon_backend_gguf.testing import scripted

GOOD: dict[str, Any] = {
    "general.architecture": "llama",
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ("a", "b"),
    "tokenizer.ggml.scores": (0.0, 0.0),
    "tokenizer.ggml.token_type": (1, 1),
}


def header(*, kind: int = 2, tensor: str = "output.weight", **changes: Any) -> Header:
    metadata = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return Header(metadata, (Tensor(tensor, (32,), kind, 0),), 0)


def test_what_a_file_needs() -> None:
    assert missing(header()) == []
    assert missing(header(**{"tokenizer.ggml.pre": "default"})) == []
    cases = {
        "architecture is qwen3": header(**{"general.architecture": "qwen3"}),
        "tokenizer.ggml.model": header(**{"tokenizer.ggml.model": "bert"}),
        "tokenizer.ggml.pre": header(**{"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm"}),
        "no tokenizer.ggml.scores": header(**{"tokenizer.ggml.scores": None}),
        "token_type has 1 entries for 2 tokens": header(**{"tokenizer.ggml.token_type": (1,)}),
        "no tensor output.weight": header(tensor="token_embd.weight"),
        "BF16": header(kind=30),
        "type 99": header(kind=99),
    }
    for words, judged in cases.items():
        (reason,) = missing(judged)
        assert words in reason


async def test_a_file_of_today_is_one_error_that_names_all_that_is_missing() -> None:
    path = find_demo_model()
    assert path is not None
    with pytest.raises(EngineError) as caught:
        check(path)
    for words in (str(path), "tokenizer.ggml.pre", "tokenizer.ggml.scores", "output.weight"):
        assert words in str(caught.value)
    assert caught.value.lasting


def cut(stops: list[str], *pieces: bytes) -> tuple[list[str], str, bool]:
    cutter = TextCutter(stops)
    return [cutter.feed(piece) for piece in pieces], cutter.end(), cutter.stopped


def test_characters_are_never_cut() -> None:
    smile = "😀".encode()
    assert cut([], b"a" + smile[:1], smile[1:3], smile[3:] + b"b") == (["a", "", "😀b"], "", False)
    assert cut([], smile[:2]) == ([""], "\N{REPLACEMENT CHARACTER}", False)


def test_stop_strings_are_cut_wherever_pieces_end() -> None:
    assert cut(["STOP"], b"one ST", b"OP two") == (["one ", ""], "", True)
    assert cut(["STOP"], b"one ST", b"ART") == (["one ", "START"], "", False)
    assert cut(["STOP"], b"one ST") == (["one "], "ST", False)
    assert cut(["b", "abc"], b"xa", b"b") == (["x", "a"], "", True)
    assert cut(["aab"], b"aa", b"ab") == (["", "a"], "", True)
    assert cut(["😀!"], "x😀".encode(), b"?") == (["x", "😀?"], "", False)


def test_a_template_has_its_tools_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    template = ChatTemplate(
        "{% for m in messages %}\n    {% if loop.index > 1 %}{% break %}{% endif %}\n{{ m | tojson }}{% endfor %}"
        "{{ eos_token }}{{ strftime_now('%Y') | length }}",
        {"eos_token": "</s>"},
    )
    assert template.render([{"role": "user", "content": "é<"}, {}]).strip() == '{"role": "user", "content": "é<"}</s>4'
    for source in (
        "{{ ''.__class__.__mro__ }}{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception('Roles must alternate') }}",
        "{{ 1 / 0 }}",
        "{% include '/etc/passwd' %}",
    ):
        with pytest.raises(TemplateFailed):
            ChatTemplate(source, {}).render([{"role": "user", "content": "x"}])
    with pytest.raises(TemplateFailed, match="is not one"):
        ChatTemplate("{% for %}", {})
    monkeypatch.setattr(templates, "RENDER_S", 0.05)
    endless = ChatTemplate("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", {})
    with pytest.raises(TemplateFailed, match=r"took more than 0\.05 seconds"):
        endless.render([])


async def ask(engine: CTransformers, **body: Any) -> Any:
    endpoint = await engine.start()
    try:
        async with Upstream() as upstream:
            sent = json.dumps({"temperature": 0, **body}).encode()
            return json.loads(
                b"".join([part async for part in upstream.post(endpoint, "/v1/chat/completions", sent, timeout_s=30)])
            )
    finally:
        await engine.stop()


def engine_for(path: Path, context: int = 4096) -> CTransformers:
    return CTransformers(CTransformersSettings(path=path, alias="served", context=context, threads=1))


async def test_a_text_that_overflows_the_librarys_own_buffer(tmp_path: Path) -> None:
    path = scripted.GREETING.write(tmp_path / "m.gguf")
    smiles = [{"role": "user", "content": "😀👩‍👩‍👧‍👦\0" * 100}]
    answer = await ask(engine_for(path), messages=smiles)
    assert answer["choices"][0]["message"]["content"] == scripted.GREETING.text
    # Every byte of an emoji is a token here.
    assert answer["usage"]["prompt_tokens"] > 2000


async def test_special_tokens_are_one_token_each(tmp_path: Path) -> None:
    path = scripted.build(tmp_path / "m.gguf", ["word"], template="{{ bos_token }}<|im_start|><|im_end|><|im_start|>")
    answer = await ask(engine_for(path), messages=[{"role": "user", "content": "x"}])
    assert answer["usage"]["prompt_tokens"] == 4


async def test_requests_that_are_wrong(tmp_path: Path) -> None:
    engine = engine_for(scripted.GREETING.write(tmp_path / "m.gguf"))
    endpoint = await engine.start()
    wrong: list[dict[str, Any]] = [
        {"messages": []},
        {"messages": 7},
        {"temperature": "hot"},
        {"temperature": True},
        {"top_p": -1},
        {"max_tokens": 0},
        {"stop": [5]},
        {"stop": ["x"] * 99},
        {"messages": [{"role": "user", "content": 5}]},
    ]
    try:
        async with Upstream() as upstream:
            for change in wrong:
                body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], **change}).encode()
                with pytest.raises(JobFailed) as caught:
                    await anext(upstream.post(endpoint, "/v1/chat/completions", body, timeout_s=30))
                assert caught.value.kind == "refused", change
            assert await upstream.ask(endpoint.url + "/v1/models", "wrong key") is None
            assert await upstream.ask(endpoint.url + "/v1/models", endpoint.key)
    finally:
        await engine.stop()


def test_the_whole_vocabulary_is_read_only_where_it_is_wanted(tmp_path: Path) -> None:
    kept = check(scripted.GREETING.write(tmp_path / "m.gguf")).metadata["tokenizer.ggml.token_type"]
    assert isinstance(kept, tuple)
    assert kept[1] == gguf.TokenType.CONTROL
