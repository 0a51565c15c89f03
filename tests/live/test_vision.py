"""Images, from the official SDK to llama.cpp with a projector and back."""

import openai
import pytest
from lightphon_backend_gguf.testing import projector, scripted
from lightphon_backend_gguf.testing.projector import IMAGE_TOKENS, image_part, png

TEXT = {"type": "text", "text": "What is it?"}


@pytest.fixture(scope="module")
def seeing(run_system, models, tmp_path_factory):
    """Two nodes: one with a model that takes images, and one whose model takes text."""
    eyes = projector.build(tmp_path_factory.mktemp("eyes") / "mmproj.gguf", models / "greeting.gguf")
    with run_system() as system:
        system.start_node("greeting", name="seeing", mmproj=eyes)
        system.start_node("json_answer", name="blind")
        yield system


def content(*parts):
    return [{"role": "user", "content": [TEXT, *parts]}]


@pytest.mark.parametrize("model", ["auto", "greeting"])
def test_an_image_is_answered_and_counted(seeing, model):
    alone = seeing.ask("greeting", messages=content()).usage.prompt_tokens
    for stream in (False, True):
        told = seeing.ask(model, messages=content(image_part(png()), image_part(png(40, 90))), stream=stream)
        if stream:
            chunks = list(told)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            usage = chunks[-1].usage
        else:
            text, usage = told.choices[0].message.content, told.usage
        assert text == scripted.GREETING.text
        assert usage.prompt_tokens == alone + 2 * IMAGE_TOKENS


def test_clients_see_who_takes_images(seeing):
    able = {model.id: "vision" in model.capabilities for model in seeing.openai().models.list()}
    assert {"greeting": True, "json_answer": False}.items() <= able.items()


def test_a_model_without_a_projector_is_a_400_before_dispatch(seeing):
    with pytest.raises(openai.BadRequestError) as caught:
        seeing.ask("json_answer", messages=content(image_part(png())))
    assert "images" in caught.value.message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_image_that_cannot_be_read_is_a_400_and_the_node_goes_on(seeing, stream):
    cut_off, other = image_part(png(64, 64)[:60]), image_part(b"#EXTM3U\nhttp://192.168.0.1/")
    address = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/a.png"}}
    for part, words in ((cut_off, "cannot be read"), (other, "PNG, JPEG"), (address, "send images as data: URIs")):
        with pytest.raises(openai.BadRequestError) as caught:
            seeing.ask("greeting", messages=content(part), stream=stream)
        assert (words in caught.value.message, caught.value.param) == (True, "messages")
    assert seeing.ask("greeting", messages=content(image_part(png()))).choices[0].finish_reason == "stop"
