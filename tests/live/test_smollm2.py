"""A real model. What it says is its own affair; that it says something, and that it arrives whole, is ours."""

from lightphon_backend_gguf.demo.model import find_demo_model


def test_smoke(start_system):
    path = find_demo_model()
    assert path is not None
    system = start_system()
    system.start_node(path, context=512)
    chunks = list(system.ask("auto", "Say something about the sea.", stream=True, max_tokens=12))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.strip()
    assert chunks[-1].model == path.stem
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")
    assert 1 <= chunks[-1].usage.completion_tokens <= 12
    assert chunks[-1].usage.prompt_tokens > 5
    whole = system.ask(path.stem, "Say something about the sea.", max_tokens=12)
    assert whole.choices[0].message.content == text  # greedy, so the same
    assert whole.usage == chunks[-1].usage
