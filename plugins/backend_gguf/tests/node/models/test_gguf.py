import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightphon_backend_gguf.node.models.facts import facts
from lightphon_backend_gguf.node.models.gguf import GgufError, read_header
from lightphon_backend_gguf.testing.scripted import GREETING


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return GREETING.write(tmp_path_factory.mktemp("gguf") / "greeting.gguf", name="Greeting", context=2048).read_bytes()


def read(data: bytes) -> object:
    return read_header(io.BytesIO(data))


def test_metadata_and_tensors_of_a_real_writer(whole: bytes) -> None:
    header = read_header(io.BytesIO(whole))
    assert header.metadata["general.name"] == "Greeting"
    assert header.metadata["llama.context_length"] == 2048
    assert header.metadata["tokenizer.ggml.add_bos_token"] is True
    assert header.metadata["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    assert "tokenizer.ggml.tokens" not in header.metadata
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    width = header.metadata["llama.embedding_length"]
    assert shapes["token_embd.weight"] == (width, header.metadata["llama.vocab_size"])
    assert header.end == len(whole)


def test_every_truncation_is_told(whole: bytes) -> None:
    start = read_header(io.BytesIO(whole)).data_start
    for length in [*range(0, start, 37), start, len(whole) - 1]:
        with pytest.raises(GgufError):
            read(whole[:length])


def test_the_message_on_a_file_that_lacks_its_end(whole: bytes) -> None:
    with pytest.raises(GgufError, match=f"incomplete: it has {len(whole) - 9:,} of at least {len(whole):,} bytes"):
        read(whole[:-9])


@pytest.mark.parametrize("data", [b"", b"GG", b"<html>not found</html>", b"GGUF" + struct.pack(">I", 3) + b"\0" * 64])
def test_other_files(data: bytes) -> None:
    with pytest.raises(GgufError):
        read(data)


def _header(*, tensors: int = 0, entries: int = 0, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, entries) + rest


@pytest.mark.parametrize(
    "data",
    [
        _header(tensors=2**63),
        _header(entries=2**63),
        _header(entries=1, rest=struct.pack("<Q", 2**63)),
        _header(entries=1, rest=struct.pack("<Q1sI", 1, b"k", 8) + struct.pack("<Q", 2**40)),
        _header(entries=1, rest=struct.pack("<Q1sI", 1, b"k", 77)),
        _header(entries=1, rest=struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 2**60)),
        _header(entries=1, rest=struct.pack("<Q1sIIQ", 1, b"k", 9, 4, 2**60)),
        _header(entries=1, rest=struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 2**10) + b"\0" * 99),
        _header(entries=1, rest=struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 100) + struct.pack("<Q", 2**64 - 1) * 100),
        _header(tensors=1, rest=struct.pack("<Q1sI", 1, b"t", 2**31)),
        _header(tensors=1, rest=struct.pack("<Q1sIQIQ", 1, b"t", 1, 2**62, 0, 0)),
        _header(tensors=1, rest=struct.pack("<Q1sIQIQ", 1, b"t", 1, 1, 0, 2**63)),
    ],
)
def test_lengths_that_lie(data: bytes) -> None:
    with pytest.raises(GgufError):
        read(data)


@given(data=st.data())
def test_mutated_headers_give_facts_or_one_error(whole: bytes, data: st.DataObject) -> None:
    mutated = bytearray(whole)
    last = read_header(io.BytesIO(whole)).data_start - 8
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, last))
        new = data.draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\xff" * 4]))
        mutated[at : at + len(new)] = new
    try:
        header = read_header(io.BytesIO(mutated))
    except GgufError:
        return
    facts(header, file_name="greeting.gguf")


def test_strings_that_straddle_the_readers_chunks() -> None:
    words = [b"x" * (n % 2000) for n in range(3000)]
    array = b"".join(struct.pack("<Q", len(word)) + word for word in words)
    assert len(array) > 2 * 2**20
    rest = struct.pack("<Q1sIIQ", 1, b"a", 9, 8, len(words)) + array + struct.pack("<Q1sIB", 1, b"b", 0, 42)
    header = read_header(io.BytesIO(_header(entries=2, rest=rest)))
    assert header.metadata == {"b": 42}


def test_a_file_on_disk(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(whole)
    with path.open("rb") as file:
        assert read_header(file) == read_header(io.BytesIO(whole))
