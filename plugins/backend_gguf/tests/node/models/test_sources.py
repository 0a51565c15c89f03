from pathlib import Path

import pytest
from lightphon_backend_gguf.node.models.file_names import ChoiceError, choose, models_among, parts_of, quantization_in
from lightphon_backend_gguf.node.models.sources import (
    HubSource,
    LocalSource,
    ServerSource,
    SourceError,
    parse_source,
)
from lightphon_backend_gguf.node.planning.locate import locate
from lightphon_backend_gguf.node.planning.wishes import Wish, WishError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.gguf", LocalSource(Path("model.gguf"))),
        ("~/models", LocalSource(Path.home() / "models")),
        ("hf:owner/repo", HubSource("owner/repo")),
        ("hf:owner/repo.v2-GGUF:Q4_K_M", HubSource("owner/repo.v2-GGUF", quantization="Q4_K_M")),
        ("hf:owner/repo/sub/a-Q8_0.gguf", HubSource("owner/repo", quantization="Q8_0", file="sub/a-Q8_0.gguf")),
        ("openai:http://127.0.0.1:11434/v1", ServerSource("http://127.0.0.1:11434/v1")),
        ("openai:http://127.0.0.1:11434/v1#qwen3:8b", ServerSource("http://127.0.0.1:11434/v1", "qwen3:8b")),
    ],
)
def test_what_a_model_means(text: str, expected: object) -> None:
    assert parse_source(text) == expected


def test_a_relative_path_starts_at_the_folder_that_is_given() -> None:
    assert parse_source("a.gguf", folder=Path("/etc/node")) == LocalSource(Path("/etc/node/a.gguf"))
    assert parse_source("/b.gguf", folder=Path("/etc/node")) == LocalSource(Path("/b.gguf"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hf:",
        "hf:owner",
        "hf:owner/repo:",
        "hf:owner/repo:Q 4",
        "hf:owner/repo/file.bin",
        "hf:owner/repo/../x.gguf",
        "hf:../repo:Q4",
        "hf:owner/repo//x.gguf",
        "hf:owner/repo/x.gguf:Q4",
    ],
)
def test_what_means_nothing(text: str) -> None:
    with pytest.raises(SourceError):
        parse_source(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Llama-3-8B-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q8_0.gguf", "Q8_0"),
        ("Qwen3-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("big/tiny-BF16-00001-of-00002.gguf", "BF16"),
        ("x-IQ2_XXS.gguf", "IQ2_XXS"),
        ("SmolLM2.gguf", None),
        ("qwen-q4.gguf", "Q4"),
    ],
)
def test_the_quantization_in_a_name(name: str, expected: str | None) -> None:
    assert quantization_in(name) == expected


def test_parts_and_projectors_are_no_models_of_their_own() -> None:
    names = ["b-00002-of-00003.gguf", "b-00001-of-00003.gguf", "a.GGUF", "mmproj-a.gguf", "a.txt", "x/mmproj/c.gguf"]
    assert models_among(names) == ["a.GGUF", "b-00001-of-00003.gguf", "x/mmproj/c.gguf"]
    assert parts_of("x/b-00001-of-00003.gguf") == [f"x/b-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert parts_of("a.gguf") == ["a.gguf"]


def test_the_file_of_a_quantization() -> None:
    names = ["a-Q4_K_M.gguf", "a-Q4_K_S.gguf", "b/a-Q8_0-00001-of-00002.gguf", "b/a-Q8_0-00002-of-00002.gguf"]
    assert choose(names, "q8_0") == "b/a-Q8_0-00001-of-00002.gguf"
    assert choose(["only.gguf", "mmproj.gguf"], None) == "only.gguf"
    for quantization, wrong in [("Q4", "it has no Q4; it has Q4_K_M, Q4_K_S, Q8_0"), (None, "it has several models")]:
        with pytest.raises(ChoiceError, match=wrong):
            choose(names, quantization)
    with pytest.raises(ChoiceError, match=r"name one of them: a-Q4_0\.gguf, b-Q4_0\.gguf"):
        choose(["a-Q4_0.gguf", "b-Q4_0.gguf"], "Q4_0")
    with pytest.raises(ChoiceError, match="it has no GGUF files"):
        choose(["README.md"], "Q4_0")


def test_a_folder_is_all_of_its_models(tmp_path: Path) -> None:
    for name in ("b.gguf", "a-00001-of-00002.gguf", "a-00002-of-00002.gguf", "mmproj-b.gguf", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.gguf").mkdir()

    def find(name: str | None = None) -> list[tuple[object, str | None]]:
        wish = Wish(LocalSource(tmp_path), name=name)
        return [(item.place, item.model_id) for item in locate([wish], lambda source: tmp_path)]

    assert find() == [(tmp_path / "a-00001-of-00002.gguf", None), (tmp_path / "b.gguf", None)]
    with pytest.raises(WishError, match="there are 2 models in this folder, so they cannot all be called one"):
        find("one")
    (tmp_path / "b.gguf").unlink()
    assert find("one") == [(tmp_path / "a-00001-of-00002.gguf", "one")]
    (tmp_path / "a-00001-of-00002.gguf").unlink()
    with pytest.raises(WishError, match=r"there are no \.gguf files"):
        find()


def test_a_model_of_the_hub_is_called_after_its_repository(tmp_path: Path) -> None:
    source = HubSource("owner/repo", quantization="Q4_0")
    found = locate([Wish(source), Wish(source, name="mine")], lambda asked: tmp_path / f"{asked.quantization}.gguf")
    assert [(item.place, item.model_id) for item in found] == [
        (tmp_path / "Q4_0.gguf", "owner/repo"),
        (tmp_path / "Q4_0.gguf", "mine"),
    ]
