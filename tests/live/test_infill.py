"""What belongs between two texts, through the whole system: as OpenAI's SDK asks for it, and as Continue does."""

import httpx
import openai
import pytest
from lightphon_backend_gguf.testing import scripted


def test_a_suffix_reaches_a_model_that_fills_in(start_system, models, tmp_path):
    system = start_system()
    system.start_node("greeting", scripted.INFILL.write(tmp_path / "filling.gguf"))
    client = system.openai()
    asked = {"prompt": "def f():", "suffix": "return x", "temperature": 0}
    answer = client.completions.create(model="auto", **asked)
    assert (answer.model, answer.choices[0].text) == ("filling", scripted.INFILL.text)
    assert answer.usage.prompt_tokens == 1 + len("def f():return x") + len(scripted.INFILL.marks)
    chunks = client.completions.create(model="filling", **asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == scripted.INFILL.text
    with pytest.raises(openai.BadRequestError, match="filling"):
        client.completions.create(model="greeting", **asked)

    fim = httpx.post(
        f"{system.url}/v1/fim/completions",
        json={"model": "filling", **asked},
        headers={"Authorization": f"Bearer {system.api_key}"},
    )
    assert fim.json()["choices"][0]["message"]["content"] == scripted.INFILL.text


def test_several_prompts_are_paid_for_together(start_system):
    system = start_system()
    system.start_node("greeting", name="one", slots=3)
    client = system.openai()
    one, three = [
        client.completions.create(model="greeting", prompt=["Hi"] * count, temperature=0).usage for count in (1, 3)
    ]
    assert three.prompt_tokens == 3 * one.prompt_tokens
    assert three.completion_tokens == 3 * one.completion_tokens
