from pathlib import Path

import pytest
from lightphon_backend_gguf.node.models.sources import HubSource, LocalSource
from lightphon_backend_gguf.node.planning.config import (
    ConfigError,
    ModelTable,
    NodeConfig,
    default_path,
    load,
    read_token,
)
from lightphon_backend_gguf.node.planning.wishes import Given, Wish, WishError, engines_of, wishes
from lightphon_backend_gguf.protocol.account import PriceMessage

WHOLE = """\
[node]
server = "https://example.org"
token_file = "token"
name = "box"
price = "10"
engine = "llama.cpp"
slots = 3
context = 4096
threads = 2
drain_timeout = 5

[[model]]
model = "hf:owner/repo:Q4_K_M"
price = "prompt=50,completion=200"
context = 2048

[[model]]
model = "tiny.gguf"
name = "tiny"
slots = 1
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_a_file_says_what_the_command_line_could(tmp_path: Path) -> None:
    config = load(write(tmp_path, WHOLE))
    assert (config.node.server, config.node.drain_timeout, config.folder) == ("https://example.org", 5, tmp_path)
    assert wishes(Given(), config) == [
        Wish(
            HubSource("owner/repo", quantization="Q4_K_M"),
            price=PriceMessage(per_mtok_prompt=50_000, per_mtok_completion=200_000),
            engine="llama.cpp",
            slots=3,
            context=2048,
        ),
        Wish(
            LocalSource(tmp_path / "tiny.gguf"),
            name="tiny",
            price=PriceMessage(per_minute=10_000),
            engine="llama.cpp",
            slots=1,
            context=4096,
        ),
    ]


def test_the_command_line_wins(tmp_path: Path) -> None:
    config = load(write(tmp_path, WHOLE))
    given = Given(names=["first", "second"], price="7", engine="other", slots=9, context=64)
    assert [(w.name, w.price, w.engine, w.slots, w.context) for w in wishes(given, config)] == [
        (name, PriceMessage(per_minute=7000), "other", 9, 64) for name in ("first", "second")
    ]
    (only,) = wishes(Given(models=["mine.gguf"]), config)
    assert only == Wish(
        LocalSource(Path("mine.gguf")), price=PriceMessage(per_minute=10_000), engine="llama.cpp", slots=3, context=4096
    )


def test_a_model_that_is_to_make_vectors_too(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('[[model]]\nmodel = "a"\nembedding = true\n[[model]]\nmodel = "b"')
    assert [wish.embedding for wish in wishes(Given(), load(file))] == [True, False]


def test_the_memory_limit_is_in_gib_and_the_nearest_word_counts(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('[node]\nmemory_limit = 8\n[[model]]\nmodel = "a"\nmemory_limit = 1.5\n[[model]]\nmodel = "b"')
    config = load(file)
    assert [wish.memory_limit for wish in wishes(Given(), config)] == [3 * 2**29, 8 * 2**30]
    assert [wish.memory_limit for wish in wishes(Given(memory_limit=2.0), config)] == [2 * 2**30] * 2
    assert wishes(Given(models=["a"]), NodeConfig())[0].memory_limit is None


def test_the_engines_that_will_run() -> None:
    def engines(*models: str, engine: str | None = None) -> list[str]:
        return engines_of(wishes(Given(models=models, engine=engine), NodeConfig()), "usual")

    assert engines() == ["usual"]
    assert engines("a", "openai:http://127.0.0.1:1/v1", "b") == ["usual"]
    assert engines("a", engine="ctransformers") == ["ctransformers"]
    assert engines("openai:http://127.0.0.1:1/v1") == []


def test_no_model_has_more_slots_than_the_node_runs_jobs(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('[node]\nslots = 9\nmax_jobs = 5\nschedule = ["22:00-08:00"]\n[[model]]\nmodel = "a"')
    config = load(file)
    assert config.node.schedule == ["22:00-08:00"]
    assert [wish.slots for wish in wishes(Given(), config)] == [5]
    assert [wish.slots for wish in wishes(Given(max_jobs=4, slots=6), config)] == [4]
    assert [wish.slots for wish in wishes(Given(slots=2), config)] == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[node]\nsever = 'x'", r"\[node\] sever is not a setting; did you mean server\."),
        ("[node]\ntoken = 'np_x'", r"\[node\] token is not a setting; did you mean token_file\."),
        (
            "[[model]]\nmodel = 'a'\n[[model]]\nmodel = 'b'\nzzz = 1",
            r"\[\[model\]\] number 2 zzz is not a setting; there",
        ),
        ("[[models]]\nmodel = 'a'", "models is not a setting; did you mean model"),
        ("[model]\nmodel = 'a'", r"write \[\[model\]\] for model"),
        ("[[model]]\nname = 'a'", r"\[\[model\]\] number 1 has no model"),
        ("[node]\nslots = '3'", r"\[node\] slots must be a whole number"),
        ("[node]\nslots = true", r"\[node\] slots must be a whole number"),
        ("[node]\nschedule = '22:00-08:00'", r"\[node\] schedule must be a list of texts"),
        ("[node]\nschedule = [22]", r"\[node\] schedule must be a list of texts"),
        ("[node]\nmax_jobs = 0", r"\[node\] max_jobs must be >= 1: 0"),
        ("[node]\nslots = 0", r"\[node\] slots must be >= 1: 0"),
        ("[node]\nmemory_limit = 0.1", r"\[node\] memory_limit must be >= 0\.125: 0\.1"),
        ("[node]\nmemory_limit = nan", r"\[node\] memory_limit must be >= 0\.125: nan"),
        ("[node]\nmemory_limit = '8 GiB'", r"\[node\] memory_limit must be a number"),
        ("[[model]]\nmodel = 'a'\nembedding = 1", r"\[\[model\]\] number 1 embedding must be true or false"),
        ("[node]\nprice = 3", r"\[node\] price must be a text"),
        ("[node", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{tmp_path}/node\.toml: .*{message}") as caught:
        load(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Given(models=["a"], names=["a", "b"]), "more --name than models"),
        (Given(models=["hf:nonsense"]), "is not hf:OWNER"),
        (Given(models=["a"], price="many"), "^--price: 'many' is no amount"),
        (Given(models=["a"], names=["a b"]), "^--name: 'a b' is not an id"),
    ],
)
def test_wishes_that_are_not_clear(given: Given, message: str) -> None:
    with pytest.raises(WishError, match=message):
        wishes(given, NodeConfig())


def test_a_price_and_a_name_of_the_file_are_checked_too() -> None:
    for table, message in [(ModelTable("a", price="x"), "^price: 'x'"), (ModelTable("a", name=" "), "^name: ' ' is")]:
        with pytest.raises(WishError, match=message):
            wishes(Given(), NodeConfig(models=(table,)))


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("np_secret\n")
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(ConfigError, match=rf"others on this machine may read .* run `chmod 600 {file}`") as caught:
            read_token(file)
        assert "np_secret" not in str(caught.value)
    file.chmod(0o600)
    assert read_token(file) == "np_secret"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_token(tmp_path / "none")


def test_where_the_file_is_looked_for() -> None:
    assert default_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/lightphon/node.toml")
    assert default_path({}) == Path.home() / ".config/lightphon/node.toml"
