"""Plain completions, infill and embeddings: the journey of a chat, in shapes of their own."""

import base64
import json
import math
import struct

import httpx
import pytest

from lightphon_core import Capability, Job, Model
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import event, says, text_chunk, vectors_of

WRITER = Model("writer", frozenset({Capability.COMPLETION, Capability.CHOICES, Capability.LOGPROBS}), 4096)
CODER = Model("coder", frozenset({Capability.COMPLETION, Capability.INFILL}), 4096)
EMBEDDER = Model("embedder", frozenset({Capability.EMBEDDING}), 512)
TALKER = Model("talker", frozenset({Capability.CHAT}), 4096)
MODELS = [WRITER, CODER, EMBEDDER, TALKER]


@pytest.fixture(scope="module")
def backend():
    return ScriptedBackend(says("Hel", "lo"), models=MODELS)


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory, backend):
    with run_server(tmp_path_factory.mktemp("data"), plugin_of(backend)) as running:
        yield running


def post(running, path, /, **body):
    headers = {"authorization": f"Bearer {running.api_key}"}
    return httpx.post(running.url + path, content=json.dumps(body).encode(), headers=headers, timeout=30)


def refusal(running, path, /, **body):
    answer = post(running, path, **body)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


def sent(backend):
    return json.loads(backend.jobs[-1].body)


class TestCompletions:
    def test_whole(self, running, backend):
        answer = running.openai().completions.create(model="writer", prompt="Say", max_tokens=9)
        assert (answer.object, answer.model, answer.id[:5]) == ("text_completion", "writer", "cmpl-")
        assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Hello", "stop")
        assert answer.choices[0].logprobs is None
        assert answer.usage.completion_tokens == 2
        assert answer.routing_info["model"] == "writer"
        assert backend.jobs[-1].path == "/v1/completions"
        assert sent(backend) == {
            "model": "writer",
            "stream": True,
            "stream_options": {"include_usage": True},
            "prompt": "Say",
            "max_tokens": 9,
        }

    def test_streamed(self, running):
        stream = list(running.openai().completions.create(model="auto", prompt=["Say"], stream=True))
        assert "".join(each.choices[0].text for each in stream) == "Hello"
        assert {(each.object, each.model) for each in stream} == {("text_completion", "writer")}
        assert [each.choices[0].finish_reason for each in stream] == [None, None, "stop"]
        assert stream[-1].usage.total_tokens == 5

    def test_several_prompts_are_several_choices(self, running, backend):
        answer = running.openai().completions.create(model="writer", prompt=["a", "b", "c"])
        assert [(each.index, each.text) for each in answer.choices] == [(0, "Hello"), (1, "Hello"), (2, "Hello")]
        assert sent(backend)["prompt"] == ["a", "b", "c"]

    def test_log_probabilities_are_as_plain_completions_have_them(self, running, backend, monkeypatch):
        """llama.cpp sends those of a chat."""

        async def reply(job: Job):
            del job
            for token, other in (("He", "Ho"), ("y", "i")):
                tops = [{"token": token, "logprob": -0.5}, {"token": other, "logprob": -1.5}]
                content = [{"token": token, "logprob": -0.5, "top_logprobs": tops}]
                choice = {"index": 0, "text": token, "finish_reason": None, "logprobs": {"content": content}}
                yield event({"choices": [choice]})
            yield text_chunk(finish="stop")

        monkeypatch.setattr(backend, "reply", reply)
        logprobs = running.openai().completions.create(model="writer", prompt="Say", logprobs=2).choices[0].logprobs
        assert logprobs.tokens == ["He", "y"]
        assert logprobs.token_logprobs == [-0.5, -0.5]
        assert logprobs.top_logprobs == [{"He": -0.5, "Ho": -1.5}, {"y": -0.5, "i": -1.5}]

    @pytest.mark.parametrize("tops", [5, "He", {"He": 1}, [5, {"token": ["He"]}]])
    def test_log_probabilities_of_another_shape_are_none(self, running, backend, monkeypatch, tops):
        async def reply(job: Job):
            del job
            logprobs = {"content": [7, {"token": "He", "logprob": -0.5, "top_logprobs": tops}]}
            yield event({"choices": [{"index": 0, "text": "He", "finish_reason": "stop", "logprobs": logprobs}]})

        monkeypatch.setattr(backend, "reply", reply)
        logprobs = running.openai().completions.create(model="writer", prompt="Say", logprobs=2).choices[0].logprobs
        assert (logprobs.tokens, logprobs.top_logprobs) == (["He"], [{}])

    def test_a_suffix_goes_to_who_can(self, running, backend):
        answer = running.openai().completions.create(model="auto", prompt="def f(", suffix="    return x")
        assert answer.model == "coder"
        assert sent(backend)["suffix"] == "    return x"
        error = refusal(running, "/v1/completions", model="writer", prompt="def f(", suffix="    return x")
        assert (error["param"], error["code"]) == ("model", "unsupported")
        running.openai().completions.create(model="writer", prompt="Say", suffix="")
        assert "suffix" not in sent(backend)

    @pytest.mark.parametrize(
        ("more", "param", "word"),
        [
            ({"prompt": [1, 2, 3]}, "prompt", "tokens"),
            ({"prompt": [[1, 2], [3]]}, "prompt", "tokens"),
            ({"prompt": ["a", 7.5]}, "prompt[1]", "string"),
            ({"prompt": []}, "prompt", "at least one"),
            ({"prompt": ""}, "prompt", "empty"),
            ({"prompt": ["a"] * 9}, "prompt", "at most 8"),
            ({"prompt": ["a", "b"], "n": 2}, "n", "not for both"),
            ({"prompt": ["a", "b"], "suffix": "c"}, "suffix", "one prompt"),
            ({"prompt": "a", "echo": True}, "echo", "not supported"),
            ({"prompt": "a", "best_of": 3}, "best_of", "'n' choices"),
            ({"prompt": "a", "logprobs": True}, "logprobs", "integer"),
            ({"prompt": "a", "n": 9}, "n", "8"),
            ({"messages": [{"role": "user", "content": "Hi"}]}, "prompt", "/v1/chat/completions"),
        ],
    )
    def test_what_is_wrong_is_said(self, running, more, param, word):
        error = refusal(running, "/v1/completions", model="writer", **more)
        assert error["param"] == param
        assert word in error["message"]

    def test_content_of_another_endpoint_stays_behind(self, running, backend):
        post(
            running, "/v1/completions", model="writer", prompt="Say", messages=[{"role": "user"}], input="x", PROMPT="x"
        )
        assert sent(backend).keys() == {"model", "stream", "stream_options", "prompt", "max_tokens"}


BETWEEN = {"model": "auto", "prompt": "def f(", "suffix": "    return x", "max_tokens": 20}


class TestInfill:
    @pytest.mark.parametrize("prefix", ["/v1", "", "agent/v1", "agent"])
    def test_it_is_answered_as_a_chat(self, running, backend, prefix):
        prefix = prefix.replace("agent", f"/api/agent/{running.agent_token}")
        answer = post(running, f"{prefix}/fim/completions", **BETWEEN).json()
        assert (answer["object"], answer["model"]) == ("chat.completion", "coder")
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
        assert backend.jobs[-1].path == "/v1/completions"
        assert sent(backend)["suffix"] == "    return x"

    def test_streamed(self, running):
        text = post(running, "/v1/fim/completions", **BETWEEN, stream=True).text
        *payloads, done = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        assert done == "[DONE]"
        chunks = [json.loads(payload) for payload in payloads]
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
            {"content": "Hel"},
            {"content": "lo"},
            {"content": ""},
        ]
        assert not any("text" in chunk["choices"][0] for chunk in chunks)

    def test_without_a_suffix_it_goes_on_from_the_prompt(self, running, backend):
        answer = post(running, "/v1/fim/completions", model="writer", prompt="Say").json()
        assert answer["choices"][0]["message"]["content"] == "Hello"
        assert "suffix" not in sent(backend)

    def test_at_the_start_of_a_file(self, running, backend):
        assert post(running, "/v1/fim/completions", model="auto", prompt="", suffix="x = 1").status_code == 200
        assert sent(backend)["prompt"] == ""


class TestEmbeddings:
    def test_as_the_sdk_asks_for_them(self, running, backend):
        answer = running.openai().embeddings.create(model="auto", input=["one", "three"])
        assert (answer.object, answer.model) == ("list", "embedder")
        assert [(each.index, each.embedding) for each in answer.data] == [
            (0, [3.0, 111.0, 1.0, -0.5]),
            (1, [5.0, 116.0, 1.0, -0.5]),
        ]
        assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (6, 6)
        assert answer.routing_info["model"] == "embedder"
        assert backend.jobs[-1].path == "/v1/embeddings"
        assert sent(backend) == {"model": "embedder", "input": ["one", "three"], "encoding_format": "base64"}

    @pytest.mark.parametrize("prefix", ["/v1", "", "agent/v1", "agent"])
    def test_as_numbers(self, running, prefix):
        prefix = prefix.replace("agent", f"/api/agent/{running.agent_token}")
        answer = post(running, f"{prefix}/embeddings", model="embedder", input="one").json()
        assert answer["data"] == [{"object": "embedding", "index": 0, "embedding": [3.0, 111.0, 1.0, -0.5]}]
        assert answer["usage"] == {
            "prompt_tokens": 3,
            "total_tokens": 3,
            "cost_msat": 0,
            "cost": "0",
            "cost_currency": "sat",
        }

    @pytest.mark.parametrize("encoding", ["float", "base64"])
    def test_fewer_dimensions_are_cut_and_have_length_one(self, running, encoding):
        answer = running.openai().embeddings.create(
            model="embedder", input="one", dimensions=2, encoding_format=encoding
        )
        vector = answer.data[0].embedding
        if encoding == "base64":
            vector = struct.unpack("<2f", base64.b64decode(vector))
        assert vector == pytest.approx([3 / math.hypot(3, 111), 111 / math.hypot(3, 111)])

    def test_more_than_there_are_are_refused(self, running):
        error = refusal(running, "/v1/embeddings", model="embedder", input="one", dimensions=5)
        assert error["param"] == "dimensions"
        assert "4 dimensions" in error["message"]

    @pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
    def test_tokens_are_refused_with_what_to_set(self, running, tokens):
        error = refusal(running, "/v1/embeddings", model="embedder", input=tokens)
        assert error["param"] == "input"
        assert "check_embedding_ctx_length=False" in error["message"]

    @pytest.mark.parametrize(
        ("given", "param"),
        [("", "input[0]"), (["a", ""], "input[1]"), ([], "input"), (["a", None], "input[1]"), (["a"] * 2049, "input")],
    )
    def test_what_is_no_text_is_refused(self, running, given, param):
        assert refusal(running, "/v1/embeddings", model="embedder", input=given)["param"] == param

    def test_each_text_has_a_context_of_its_own(self, running):
        """512 tokens are 8 KiB at least."""
        many = ["x" * 8000] * 3
        assert post(running, "/v1/embeddings", model="embedder", input=many).status_code == 200
        error = refusal(running, "/v1/embeddings", model="embedder", input=["x", "x" * 9000])
        assert error["code"] == "context_length_exceeded"

    def test_what_writes_no_vectors_is_refused(self, running):
        assert refusal(running, "/v1/embeddings", model="talker", input="x")["code"] == "unsupported"
        error = refusal(running, "/v1/chat/completions", model="embedder", messages=[{"role": "user", "content": "x"}])
        assert error["code"] == "unsupported"


class TestWrongVectors:
    """Each on a server of its own: one that fails again and again is given a rest."""

    @pytest.fixture
    def ask(self, start_server):
        def ask(*parts: bytes, texts=("one",)):
            async def reply(job: Job):
                del job
                for part in parts:
                    yield part

            return post(
                start_server(plugin_of(ScriptedBackend(reply, models=[EMBEDDER]))),
                "/v1/embeddings",
                model="embedder",
                input=list(texts),
            )

        return ask

    @pytest.mark.parametrize(
        "body", [vectors_of(["one", "two"]), b'{"error": {"message": "secret", "code": 500}}', b""]
    )
    def test_what_is_no_answer_is_not_passed_on(self, ask, body):
        answer = ask(*(body[at : at + 7] for at in range(0, len(body), 7)))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_nodes_available")
        assert "secret" not in answer.text

    def test_an_answer_is_no_longer_than_so_many_vectors_can_be(self, ask):
        assert ask(vectors_of(["one"]), b" " * 500_000).status_code == 503

    def test_one_that_is_long_for_a_single_vector_will_do_for_two(self, ask):
        assert ask(vectors_of(["one", "two"]), b" " * 500_000, texts=["one", "two"]).status_code == 200


def test_a_request_of_the_responses_api_is_told_what_it_is(running):
    """As Cursor sends them to the address of a chat."""
    error = refusal(
        running,
        "/v1/chat/completions",
        model="talker",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        tools=[{"type": "function", "name": "edit", "parameters": {}}],
        stream=True,
    )
    assert (error["param"], error["code"]) == ("messages", "responses_api_not_supported")
    assert "Chat Completions" in error["message"]
    assert "/v1/completions" in refusal(running, "/v1/chat/completions", model="talker", prompt="Hi")["message"]
