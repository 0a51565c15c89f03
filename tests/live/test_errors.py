"""What goes wrong in the whole system, as the official SDK raises it."""

import signal

import httpx
import openai
import pytest

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_prompt_that_only_the_engine_can_measure(start_system, stream):
    """One token a character here: too long by the engine's count, though not by the gateway's careful estimate."""
    system = start_system()
    system.start_node("greeting", context=512)
    with pytest.raises(openai.BadRequestError) as error:
        system.ask("greeting", "secret " * 90, stream=stream)
    assert (error.value.code, error.value.param) == ("context_length_exceeded", "messages")
    assert "512" in error.value.message
    assert "secret" not in error.value.message
    # The engine's refusal is the request's fault, not the node's: it goes on serving.
    assert system.ask("greeting").choices[0].finish_reason == "stop"


def test_a_prompt_that_is_too_long_by_any_count(system):
    with pytest.raises(openai.BadRequestError) as error:
        system.ask("greeting", "x" * 16 * 2**17)
    assert error.value.code == "context_length_exceeded"


@pytest.mark.parametrize("model", ["auto", "greeting"])
def test_an_image_to_a_model_of_text_goes_to_no_node(system, model):
    """With the engines halted: an answer that comes nevertheless came without them."""
    (node,) = system.nodes
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    for engine in node.engines:
        engine.send(signal.SIGSTOP)
    try:
        with pytest.raises(openai.BadRequestError) as error:
            system.ask(model, messages=[{"role": "user", "content": content}])
        assert error.value.code == "unsupported"
        assert not system.busy()
    finally:
        for engine in node.engines:
            engine.send(signal.SIGCONT)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_node_that_is_too_slow(start_system, until, stream):
    system = start_system(limits={"first_output_timeout_s": 0.3})
    node = system.start_node("greeting", slots=1)
    node.engines[0].send(signal.SIGSTOP)
    with pytest.raises(openai.InternalServerError) as error:
        system.ask("greeting", stream=stream, client=system.openai(max_retries=3))
    # The SDK, which retries a 504 by itself, was told not to, and did not.
    assert error.value.request.headers["x-stainless-retry-count"] == "0"
    assert (error.value.status_code, error.value.code) == (504, "inference_timeout")
    assert error.value.response.headers["x-should-retry"] == "false"
    node.engines[0].send(signal.SIGCONT)
    until(lambda: not system.busy())
    assert system.ask("greeting").choices[0].finish_reason == "stop"


def test_no_node(start_system, until):
    system = start_system()
    with pytest.raises(openai.InternalServerError) as never:
        system.ask()
    assert (never.value.status_code, never.value.code) == (503, "no_nodes_available")
    with pytest.raises(openai.NotFoundError) as unknown:
        system.ask("greeting")
    assert unknown.value.code == "model_not_found"

    node = system.start_node("greeting")
    assert system.ask("greeting").model == "greeting"
    node.terminate()
    until(lambda: not system.seen())
    for model in ("auto", "greeting"):
        with pytest.raises(openai.InternalServerError) as left:
            system.ask(model)
        assert (left.value.status_code, left.value.code) == (503, "no_nodes_available")
        assert int(left.value.response.headers["retry-after"]) >= 1


def test_keys(system):
    for key in ("sk-unknown", system.api_key[:-1], system.running.node_token):
        with pytest.raises(openai.APIStatusError) as error:
            system.ask("greeting", client=system.openai(api_key=key))
        denied = key == system.running.node_token
        assert type(error.value) is (openai.PermissionDeniedError if denied else openai.AuthenticationError)
        assert key not in error.value.message
    assert httpx.post(f"{system.url}/api/agent/at_wrong/chat/completions", json={}).status_code == 401


def test_what_the_engine_refuses_is_a_400_without_the_prompt(system):
    with pytest.raises(openai.BadRequestError) as error:
        system.ask("greeting", extra_body={"grammar": "root ::= my secret"})
    assert "my secret" not in error.value.message
