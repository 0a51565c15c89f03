"""What the guard lets pass as an image: what begins as one, and is not too much."""

import base64
import json
import struct
from typing import Any

import pytest
from lightphon_backend_gguf.node.guard import MAX_IMAGES, guarded
from lightphon_backend_gguf.node.pictures import pixels
from lightphon_backend_gguf.protocol.messages import JobFailed
from lightphon_backend_gguf.testing.projector import image_part, png

GIF = b"GIF89a" + struct.pack("<HH", 30, 20)
BMP = b"BM" + bytes(12) + struct.pack("<Iii", 40, 30, -20)
OLD_BMP = b"BM" + bytes(12) + struct.pack("<IHH", 12, 30, 20)
SEGMENT = b"\xff\xe1" + struct.pack(">H", 8) + b"\xff\xc0\0\0\0\0"
FRAME = b"\xff\xc2" + struct.pack(">HBHH", 17, 8, 20, 30)
JPEG = b"\xff\xd8" + SEGMENT + b"\xff\xff\xff\xd0" + FRAME
WEBP = {
    "VP8": b"VP8 " + bytes(4) + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 30 | 0x4000, 20),
    "VP8L": b"VP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 29 | 19 << 14),
    "VP8X": b"VP8X" + bytes(8) + (29).to_bytes(3, "little") + (19).to_bytes(3, "little"),
}
"""Each up to the last byte that tells its size, which is 30 by 20."""


def request_with(*parts: dict[str, Any]) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": [part]} for part in parts]}).encode()


def claiming(width: int, height: int) -> bytes:
    """A picture that says it is as large; a real one of that size can be as small as some hundred kilobytes."""
    small = png()
    return small[:16] + struct.pack(">II", width, height) + small[24:]


def refusal(*parts: dict[str, Any]) -> str:
    with pytest.raises(JobFailed) as caught:
        guarded(request_with(*parts))
    assert (caught.value.kind, caught.value.param) == ("refused", "messages")
    return caught.value.message


@pytest.mark.parametrize(
    "image",
    [png(30, 20)[:24], GIF, BMP, OLD_BMP, JPEG, *(b"RIFF" + bytes(4) + b"WEBP" + each for each in WEBP.values())],
    ids=["PNG", "GIF", "BMP", "BMP of OS/2", "JPEG", *WEBP],
)
def test_the_size_is_at_the_beginning_of_an_image_and_a_part_of_it_is_none(image: bytes) -> None:
    assert pixels(image) == 30 * 20
    assert {pixels(image[:size]) for size in range(len(image))} == {None}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#EXTM3U\nhttp://192.168.0.1/",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"\0\0\0\x18ftypmp42",
        b"\xff\xd8\xff" * 400,
        b"\xff\xd8\xff\xe1\0\0" * 400,
        b"\x89PNG\r\n\x1a\n" + bytes(30),
        png(0, 5),
    ],
    ids=["nothing", "playlist", "SVG", "sound", "film", "JPEG of nothing", "no lengths", "PNG without", "empty PNG"],
)
def test_what_is_no_image_reaches_no_engine_whatever_it_is_called(data: bytes) -> None:
    assert "PNG, JPEG" in refusal(image_part(data))


def test_base64_that_is_cut_off_is_no_image_and_padding_may_be_left_out() -> None:
    whole = base64.b64encode(png()).decode()
    for text in (whole, whole.rstrip("=")):
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
        assert guarded(request_with(part))["messages"][0]["content"] == [part]
    assert "damaged" in refusal({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}})


def test_a_prompt_is_no_other_way_for_what_is_no_text() -> None:
    media = {"prompt_string": "<__media__>", "multimodal_data": ["AAAA"]}
    for value in (media, [media], [[media]], ["Hi", media], 1.5, [1, 2], [[1, 2], [3]], []):
        for name in ("prompt", "input"):
            with pytest.raises(JobFailed) as caught:
                guarded(json.dumps({name: value}).encode())
            assert (caught.value.kind, caught.value.param) == ("refused", name)
    for text in (None, "Hi", ["Hi", "you"]):
        assert guarded(json.dumps({"prompt": text}).encode()) == {"prompt": text}


def test_the_images_of_a_request_fit_into_memory_together() -> None:
    huge, half = claiming(10_001, 10_000), claiming(10_000, 5_000)
    assert "more than 100 million pixels" in refusal(image_part(huge))
    guarded(request_with(image_part(half), image_part(half)))
    assert "more than 100 million pixels" in refusal(image_part(half), image_part(half), image_part(png()))
    small = image_part(png())
    guarded(request_with(*[small] * MAX_IMAGES))
    assert "may have 64 images" in refusal(*[small] * (MAX_IMAGES + 1))
