"""What a model file has for filling in: by its own word, and by the texts that are known."""

from pathlib import Path

import pytest
from lightphon_backend_gguf.demo.model import find_demo_model
from lightphon_backend_gguf.node.models.facts import read_model
from lightphon_backend_gguf.node.models.gguf import GgufError
from lightphon_backend_gguf.node.models.infill import KNOWN, Infill, read_infill
from lightphon_backend_gguf.node.models.vocabulary import CONTROL, look_up
from lightphon_backend_gguf.testing.scripted import build

NEW = [f"tokenizer.ggml.fim_{part}_token_id" for part in ("pre", "suf", "mid")]
OLD = [f"tokenizer.ggml.{part}_token_id" for part in ("prefix", "suffix", "middle")]
OWN = ("<<before>>", "<<after>>", "<<fill>>")


def found(path: Path) -> Infill | None:
    return read_infill(path, read_model(path))


@pytest.mark.parametrize("keys", [NEW, OLD])
def test_a_file_says_which_its_tokens_are(tmp_path: Path, keys: list[str]) -> None:
    known = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    path = build(tmp_path / "m.gguf", ["a word"], marks=(*OWN, *known), mark_ids=keys)
    assert found(path) == Infill(*OWN), "its own word comes before what is known"


def test_a_token_that_engines_do_not_look_for_is_no_mark(tmp_path: Path) -> None:
    path = build(tmp_path / "m.gguf", ["a word"], marks=OWN, mark_ids=NEW)
    data = path.read_bytes()
    for key in NEW:
        # The token "a", which is an ordinary one.
        at = data.index(key.encode()) + len(key) + 4
        data = data[:at] + (256 + 3 + 1 + ord("a") - 33).to_bytes(4, "little") + data[at + 4 :]
    path.write_bytes(data)
    assert found(path) is None


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.prefix)
def test_texts_that_are_known(tmp_path: Path, known: Infill) -> None:
    marks = (known.middle, known.prefix, known.suffix)
    assert found(build(tmp_path / "m.gguf", ["a word"], marks=marks)) == known
    assert found(build(tmp_path / "part.gguf", ["a word"], marks=marks[:2])) is None, "all three or none"


def test_models_that_have_none(tmp_path: Path) -> None:
    demo = find_demo_model()
    assert demo is not None
    assert found(demo) is None
    assert found(build(tmp_path / "m.gguf", ["a word"])) is None


def test_tokens_are_found_by_text_and_by_id(tmp_path: Path) -> None:
    path = build(tmp_path / "m.gguf", ["a word", "b word"], marks=["<|x|>"])
    header = read_model(path)
    with path.open("rb") as file:
        begin, mark = look_up(file, header, texts=["<|x|>", "<|y|>"], ids=[1, 10**6])
    assert (begin.id, begin.text, begin.kind) == (1, "<s>", CONTROL)
    assert (mark.text, mark.kind) == ("<|x|>", CONTROL)
    assert mark.id == header.metadata["llama.vocab_size"] - 3


def test_a_file_that_changes_meanwhile_is_named(tmp_path: Path) -> None:
    path = build(tmp_path / "m.gguf", ["a word"])
    header = read_model(path)
    start = header.arrays["tokenizer.ggml.tokens"].start
    data = path.read_bytes()
    for changed in (data[: start + 40], data[:start] + b"\xff" * 8 + data[start + 8 :]):
        path.write_bytes(changed)
        with pytest.raises(GgufError, match=r"m\.gguf: The GGUF file changed while it was read"):
            read_infill(path, header)
    path.unlink()
    with pytest.raises(GgufError, match=r"m\.gguf: cannot be read"):
        read_infill(path, header)
