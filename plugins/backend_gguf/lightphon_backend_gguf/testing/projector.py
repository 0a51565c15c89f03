"""Tiny multimodal projectors (mmproj files), so that scripted models take images in the real llama.cpp; and images.

Such a file is an ordinary CLIP vision encoder of one layer with the projector "mlp", all of its weights zero: it makes
`IMAGE_TOKENS` tokens of any image, which say nothing, and a scripted model goes on saying what it always says. The file
is smaller than 1 MB. Names of keys and tensors are those that llama.cpp's tools/mtmd/clip.cpp reads.

Needs the `gguf` package (a test dependency).
"""

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from lightphon_backend_gguf.node.models.facts import read_model

IMAGE_SIZE = 28
"""Pixels of a side, to which every image is resized."""

PATCH_SIZE = 14

IMAGE_TOKENS = (IMAGE_SIZE // PATCH_SIZE) ** 2
"""What an image adds to a prompt."""

_WIDTH = 32
_FORWARD = 32


def build(path: Path, model: Path, *, vision: bool = True) -> Path:
    """Write a projector for the language model in the file `model`, and return `path`. Without `vision` it is one for
    sound, which has a header and nothing else."""
    width = read_model(model).metadata["llama.embedding_length"]
    assert isinstance(width, int)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_bool("clip.has_vision_encoder", vision)
    writer.add_bool("clip.has_audio_encoder", not vision)
    writer.add_string("clip.projector_type", "mlp" if vision else "ultravox")
    if vision:
        writer.add_bool("clip.use_gelu", True)
        writer.add_uint32("clip.vision.image_size", IMAGE_SIZE)
        writer.add_uint32("clip.vision.patch_size", PATCH_SIZE)
        writer.add_uint32("clip.vision.embedding_length", _WIDTH)
        writer.add_uint32("clip.vision.feed_forward_length", _FORWARD)
        writer.add_uint32("clip.vision.block_count", 1)
        writer.add_uint32("clip.vision.attention.head_count", 1)
        writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
        writer.add_uint32("clip.vision.projection_dim", width)
        writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
        writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
        for tensor, values in _tensors(width).items():
            writer.add_tensor(tensor, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def png(width: int = 3, height: int = 2) -> bytes:
    """A red picture of that size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = (b"\0" + b"\xff\0\0" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def image_part(image: bytes, kind: str = "png") -> dict[str, Any]:
    """A part of a message's content, in OpenAI's form."""
    url = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tensors(width: int) -> dict[str, NDArray[Any]]:
    """Every tensor of the encoder and the projector by name; rows are outputs."""
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (_WIDTH, 3, PATCH_SIZE, PATCH_SIZE),
        "v.position_embd.weight": (IMAGE_TOKENS, _WIDTH),
        "mm.0.weight": (width, _WIDTH),
        "mm.2.weight": (width, width),
        "v.blk.0.ffn_up.weight": (_FORWARD, _WIDTH),
        "v.blk.0.ffn_down.weight": (_WIDTH, _FORWARD),
        "v.blk.0.ffn_up.bias": (_FORWARD,),
        "v.blk.0.ffn_down.bias": (_WIDTH,),
        "mm.0.bias": (width,),
        "mm.2.bias": (width,),
    }
    for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
        shapes[f"v.blk.0.{part}.weight"] = (_WIDTH, _WIDTH)
        shapes[f"v.blk.0.{part}.bias"] = (_WIDTH,)
    for norm in ("pre_ln", "post_ln", "blk.0.ln1", "blk.0.ln2"):
        shapes[f"v.{norm}.weight"] = shapes[f"v.{norm}.bias"] = (_WIDTH,)
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
