"""Settings from TOML and the environment: what wins, what is refused, and that messages say where."""

from collections.abc import Sequence
from enum import Enum, StrEnum
from pathlib import Path
from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import settings as limited
from hypothesis import strategies as st

from lightphon_core.errors import SettingsError
from lightphon_core.settings import Secret, Settings, load, plugin_settings, unknown_variables
from lightphon_core.settings.environment import variables


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        file = tmp_path / "lightphon.toml"
        file.write_text(text)
        return file

    return write


def refusal(config, environ=None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(config, environ or {})
    assert "\n" not in caught.value.message
    return caught.value.message


def message_of(config, environ) -> str | None:
    """The refusal's message, or None where nothing is refused."""
    try:
        load(config, environ)
    except SettingsError as error:
        return error.message
    return None


def test_defaults():
    settings = load(None, {})
    assert (settings.server.host, settings.server.port, settings.server.max_body_bytes) == (
        "127.0.0.1",
        8000,
        20_000_000,
    )
    assert settings.limits.max_output_tokens == 4096
    assert settings.limits.first_output_timeout_s == 120.0
    assert settings.limits.attempts == 3
    assert settings.limits.max_unread_bytes == 1_048_576
    assert settings.plugins.allow is None
    assert settings.log.level == "info"
    assert settings.data_dir.is_absolute()
    assert settings.database_url == f"sqlite:///{settings.data_dir}/lightphon.db"


def test_environment_beats_file_and_argument_beats_both(write, tmp_path):
    config = write('data_dir = "from-file"\n[server]\nport = 1\nhost = "::1"\n[plugins]\nblock = ["a"]\n')
    assert load(config, {}).data_dir == tmp_path / "from-file"  # relative to the file, wherever LightPhon is started
    settings = load(config, {"LIGHTPHON_SERVER_PORT": "2", "LIGHTPHON_DATA_DIR": "/e", "LIGHTPHON_PLUGINS_BLOCK": ""})
    assert (settings.server.port, settings.server.host) == (2, "::1")
    assert settings.plugins.block == ("a",)  # set to nothing is not set
    assert settings.data_dir == Path("/e")
    assert load(config, {"LIGHTPHON_DATA_DIR": "/e"}, data_dir=Path("/arg")).data_dir == Path("/arg")


def test_every_setting_has_a_variable_and_help():
    names = [variable.name for variable in variables(Settings)]
    assert len(set(names)) == len(names)
    assert {"LIGHTPHON_DATA_DIR", "LIGHTPHON_LIMITS_MAX_OUTPUT_TOKENS", "LIGHTPHON_STORAGE_URL"} <= set(names)
    assert not {"LIGHTPHON_PLUGINS_TABLES", "LIGHTPHON_CONFIG"} & set(names)
    for section in (each.type for each in attrs.fields(attrs.resolve_types(Settings)) if attrs.has(each.type)):
        for setting in attrs.fields(section):
            assert setting.metadata.get("help") or setting.metadata.get("internal"), setting.name


def test_variables_of_every_type():
    settings = load(
        None,
        {
            "LIGHTPHON_LIMITS_KEEP_ALIVE_S": "1.5",
            "LIGHTPHON_ROUTING_WEIGHTS": "free_slots=2, speed=0.5",
            "LIGHTPHON_PLUGINS_ALLOW": "a, b",
            "LIGHTPHON_LOG_FORMAT": "json",
            "LIGHTPHON_DEPOSITS_LEAST_EUR": "2.5",
            "LIGHTPHON_RATES_FIXED": "60000",
            "LIGHTPHON_RATES_URLS": "mempool=http://127.0.0.1:8999/prices?of=EUR",
        },
    )
    assert settings.deposits.least_eur == 250
    assert str(settings.rates.fixed_rate) == "60000.00"
    assert settings.rates.urls == {"mempool": "http://127.0.0.1:8999/prices?of=EUR"}
    assert settings.limits.keep_alive_s == 1.5
    assert settings.routing.weights == {"free_slots": 2.0, "speed": 0.5}
    assert settings.plugins.allow == ("a", "b")
    assert settings.log.format == "json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[server]\nport = "8000"', "[server] port must be a whole number, not text."),
        ("[server]\nport = true", "[server] port must be a whole number, not true or false."),
        ("[server]\nport = 8000.0", "[server] port must be a whole number, not a number."),
        ("[server]\nport = 65536", "[server] port must be <= 65535: 65536."),
        ("[server]\nport = -1", "[server] port must be >= 0: -1."),
        ("[server]\nhost = 1", "[server] host must be text, not a whole number."),
        ("[server]\nprot = 1", "[server] prot is not a setting; did you mean port?"),
        ("[server]\npublic_url = 'your.host'", "[server] public_url must be a URL such as https://your.host"),
        ("[accounts]\nregistration = 'all'", "[accounts] registration must be one of 'closed', 'invite', 'open'."),
        ("[sever]\nport = 1", "sever is not a setting; did you mean server?"),
        ("port = 1", "port is not a setting here, but in [server]."),
        ("url = 'x'", "url is not a setting here, but in [storage]."),
        ("server = 1", "server must be a table, not a whole number."),
        ("config = 'x'", "config is not a setting; there are accounts, data_dir, deposits, ledger, limits,"),
        ("[limits]\nattempts = 0", "[limits] attempts must be > 0: 0."),
        ("[limits]\nkeep_alive_s = nan", "[limits] keep_alive_s must be a finite number."),
        ("[limits]\nkeep_alive_s = true", "[limits] keep_alive_s must be a number, not true or false."),
        ("[routing]\nweights = {a = 'x'}", "[routing] weights.a must be a number, not text."),
        ("[routing]\nweights = {a = -1}", "[routing] weights must not be negative: a is -1.0."),
        ("[deposits]\nleast_eur = 1.5", '[deposits] least_eur must be a whole number or text: write "1.5".'),
        (
            "[deposits]\nleast_eur = '1.505'",
            "[deposits] least_eur cannot be: An amount of euros is written as 12 or 12.50",
        ),
        ("[deposits]\nleast_eur = 0", "[deposits] least_eur must be > 0: 0."),
        ("[rates]\nfixed = '60,000'", "[rates] fixed cannot be: An amount of euros"),
        ("[rates]\nfixed = 1000000001", "[rates] fixed cannot be: An amount of euros is at most 1000000000.00."),
        ("[rates]\nspread_bps = 10001", "[rates] spread_bps must be <= 10000: 10001."),
        ("[rates]\nurls = {kraken = 'nowhere'}", "[rates] urls must be URLs such as https://your.host/rate"),
        ("[plugins]\nblock = 'abc'", "[plugins] block must be a list, not text."),
        ("[plugins]\nblock = ['a', 1]", "[plugins] block.1 must be text, not a whole number."),
        ("[plugins]\nblok = ['a']", "[plugins] blok is not a setting; did you mean block?"),
        ("[log]\nlevel = 'loud'", "[log] level must be one of 'debug', 'info', 'warning', 'error'."),
        ("[log]\nlevel = 2026-01-01", "[log] level must be one of"),
        ("[server]\nhost = 2026-01-01", "[server] host must be text, not a date or time."),
        ("[server]\nhost = {env = 'A', file = 'B'}", "[server] host must be text, or a reference"),
        ("[server", "not valid TOML:"),
    ],
)
def test_refusals_name_file_table_and_key(write, text, message):
    config = write(text)
    found = refusal(config)
    assert found.startswith(f"{config}: ")
    assert message in found


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("LIGHTPHON_SERVER_PORT", "8000x", "must be a whole number, not text."),
        ("LIGHTPHON_SERVER_PORT", "8_000", "must be a whole number, not text."),
        ("LIGHTPHON_SERVER_PORT", "9" * 5000, "must be a whole number, not text."),
        ("LIGHTPHON_SERVER_PORT", "70000", "must be <= 65535: 70000."),
        ("LIGHTPHON_LIMITS_KEEP_ALIVE_S", "inf", "must be a number, not text."),
        ("LIGHTPHON_ROUTING_WEIGHTS", "a=b", "a must be a number, not text."),
        ("LIGHTPHON_ROUTING_WEIGHTS", "a", "must be a table, not text."),
    ],
)
def test_refusals_name_the_variable(write, name, text, message):
    # The file says something right about it: the variable is to blame all the same.
    assert refusal(write("[server]\nport = 1"), {name: text}) == f"{name} {message}"


def test_files_as_editors_on_windows_write_them(tmp_path):
    file = tmp_path / "lightphon.toml"
    file.write_bytes(b'\xef\xbb\xbfdata_dir = "x"\r\n[server]\r\nport = 9\r\n')
    assert load(file, {}).server.port == 9


def test_missing_file_and_strange_bytes(tmp_path):
    assert refusal(tmp_path / "none.toml").endswith(
        "none.toml: the settings file cannot be read: No such file or directory."
    )
    (tmp_path / "latin.toml").write_bytes(b'a = "\xff"')
    assert "not UTF-8" in refusal(tmp_path / "latin.toml")


@limited(max_examples=300, deadline=None)
@given(st.sampled_from(list(variables(Settings))), st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_no_text_makes_a_variable_crash(variable, text):
    message = message_of(None, {variable.name: text})
    assert message is None or message.startswith(variable.name)


@limited(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["server", "limits", "log", "plugins", "data_dir", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["port", "host", "env"]), inner)
            ),
            max_leaves=4,
        ),
    )
)
def test_no_document_makes_loading_crash(document):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightphon_core.settings.loading.read", lambda _: document)
        message = message_of(Path("x.toml"), {})
    assert message is None or message.startswith("x.toml: ")


@attrs.frozen
class Tls:
    verify: bool = True


class Colour(Enum):
    RED = "red"


class Shape(StrEnum):
    ROUND = "round"
    FLAT = "flat"


@attrs.frozen
class Example:
    token: Secret
    url: str = "https://example.org"
    retries: int = attrs.field(default=1, validator=attrs.validators.ge(0))
    mode: Literal["a", "b"] = "a"
    hosts: frozenset[str] = frozenset()
    names: list[str] = attrs.field(factory=list)
    paths: Sequence[Path] = ()
    colour: Colour = Colour.RED
    shapes: frozenset[Shape] = frozenset()
    tls: Tls = Tls()


def example(config, environ=None, name="back-end") -> Example:
    environ = environ or {}
    return plugin_settings(load(config, environ), name, Example, environ)


def test_plugin_table_and_variables(write):
    config = write('[plugins]\norder = ["x"]\n[plugins.back-end]\ntoken = "t"\nretries = 2\ntls.verify = false\n')
    assert example(config) == Example(Secret("t"), retries=2, tls=Tls(False))
    config.write_text('[plugins.back-end]\ntoken = "t"\nnames = ["a"]\npaths = ["b"]\ncolour = "red"\nhosts = ["c"]\n')
    everything = Example(Secret("t"), names=["a"], paths=(config.parent / "b",), hosts=frozenset("c"))
    assert example(config) == everything
    config.write_text('[plugins.back-end]\ntoken = "t"\nshapes = ["flat"]\n')
    assert [type(shape) for shape in example(config).shapes] == [Shape]
    config.write_text('[plugins]\norder = ["x"]\n[plugins.back-end]\ntoken = "t"\nretries = 2\ntls.verify = false\n')
    environ = {
        "LIGHTPHON_PLUGINS_BACK_END_TOKEN": "env",
        "LIGHTPHON_PLUGINS_BACK_END_TLS_VERIFY": "true",
        "LIGHTPHON_PLUGINS_BACK_END_HOSTS": "a,b",
    }
    assert example(config, environ) == Example(Secret("env"), retries=2, hosts=frozenset({"a", "b"}))
    assert load(config, {}).plugins.order == ("x",)


def test_plugin_refusals(write):
    for text, message in [
        ("", "token is missing."),
        ("token = 't'\nretires = 2", "retires is not a setting; did you mean retries?"),
        ("token = 't'\nretries = -1", "retries must be >= 0: -1."),
        ("token = 't'\ntls.verify = 1", "tls.verify must be true or false, not a whole number."),
        ("token = 't'\ntls.verifi = 1", "tls.verifi is not a setting; did you mean verify?"),
        ("token = 't'\nhosts = 'a'", "hosts must be a list, not text."),
        ("token = 't'\nnames = 'a'", "names must be a list, not text."),
        ("token = 't'\npaths = 'a'", "paths must be a list, not text."),
        ("token = 't'\npaths = [1]", "paths.0 must be text, not a whole number."),
        ("token = 't'\ncolour = 'blue'", "colour must be one of 'red'."),
        ("token = 't'\nshapes = ['blue']", "shapes.0 must be one of 'round', 'flat'."),
    ]:
        config = write(f"[plugins.back-end]\n{text}\n")
        with pytest.raises(SettingsError) as caught:
            example(config)
        assert caught.value.message == f"{config}: [plugins.back-end] {message}"


def test_secrets_come_from_variables_and_files(write, tmp_path):
    config = write('[plugins.back-end]\ntoken = {file = "token.txt"}\nurl = {env = "MY_URL"}\n')
    (tmp_path / "token.txt").write_text("hush\n")
    settings = example(config, {"MY_URL": "https://there"})
    assert settings.token.reveal() == "hush"
    assert settings.url == "https://there"
    assert "hush" not in f"{settings} {settings!r} {settings.token} {settings.token!r}"

    with pytest.raises(
        SettingsError, match=r"\[plugins.back-end\] url refers to the environment variable MY_URL, which"
    ):
        example(config)
    (tmp_path / "token.txt").write_text("\n")
    with pytest.raises(SettingsError, match=r"token refers to the file .*token.txt, which is empty"):
        example(config, {"MY_URL": "u"})
    (tmp_path / "token.txt").unlink()
    with pytest.raises(
        SettingsError, match=r"token refers to the file .*token.txt, which cannot be read: No such file"
    ):
        example(config, {"MY_URL": "u"})


def test_text_never_shows_in_a_refusal(write):
    config = write('[plugins.back-end]\ntoken = ["hush"]\nretries = "hush"\nmode = "hush"\n')
    with pytest.raises(SettingsError) as caught:
        example(config)
    # Nor in what hangs on the exception, which a log would print.
    assert "hush" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@attrs.frozen
class Known:
    """The one that CLAW_... describe."""

    base_url: str = attrs.field(metadata={"help": "Where it is."})
    api_key: Secret | None = attrs.field(default=None, metadata={"help": "Its key."})
    timeout: int = attrs.field(default=120, validator=attrs.validators.gt(0), metadata={"help": "Seconds."})
    models: tuple[str, ...] = attrs.field(default=(), metadata={"help": "Which."})
    name: str = attrs.field(default="Claw", metadata={"help": "Its name."})


def _told_once(self: "Claws", _: object, names: tuple[str, ...]) -> None:
    if self.known is not None and self.known.name in names:
        raise ValueError(f"'names' has {self.known.name!r}, and so has CLAW_NAME: remove one of them")


@attrs.frozen
class Claws:
    known: Known | None = attrs.field(default=None, metadata={"variables": "CLAW"})
    names: tuple[str, ...] = attrs.field(default=(), validator=_told_once, metadata={"help": "The others."})


def claws(config, environ) -> Claws:
    return plugin_settings(load(config, environ), "claws", Claws, environ)


def test_variables_with_names_of_their_own(write):
    assert claws(None, {"CLAW_HOME": "/", "CLAW_BASE_URL": ""}) == Claws()
    environ = {"CLAW_BASE_URL": "http://c", "CLAW_API_KEY": "hush", "CLAW_MODELS": "a, b", "CLAW_TIMEOUT": "5"}
    config = write('[plugins.claws]\nnames = ["Other"]\n')
    settings = claws(config, environ)
    assert settings == Claws(Known("http://c", Secret("hush"), 5, ("a", "b")), ("Other",))
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "table", "message"),
    [
        ({"CLAW_API_KEY": "hush"}, "", "CLAW_BASE_URL is missing."),
        ({"CLAW_BASE_URL": "hush", "CLAW_TIMEOUT": "hush"}, "", "CLAW_TIMEOUT must be a whole number, not text."),
        ({"CLAW_BASE_URL": "hush", "CLAW_TIMEOUT": "0"}, "", "CLAW_TIMEOUT must be > 0: 0."),
        (
            {"CLAW_BASE_URL": "hush"},
            "names = ['Claw']",
            "[plugins.claws] names has 'Claw', and so has CLAW_NAME: remove one of them.",
        ),
        ({}, "known.base_url = 'hush'", "[plugins.claws] known is no table: set CLAW_BASE_URL, CLAW_API_KEY, "),
        ({}, "nown = 'hush'", "[plugins.claws] nown is not a setting; there are names."),
    ],
)
def test_refusals_name_the_variable_of_its_own_name(write, environ, table, message):
    with pytest.raises(SettingsError) as caught:
        claws(write(f"[plugins.claws]\n{table}\n"), environ)
    assert message in caught.value.message
    assert caught.value.message.startswith("CLAW_") == message.startswith("CLAW_")
    assert "hush" not in caught.value.message


def test_a_variable_of_its_own_name_has_no_other():
    assert unknown_variables(
        {"CLAW_NAME": "x", "CLAW_NAEM": "x", "LIGHTPHON_PLUGINS_CLAWS_KNOWN_NAME": "x"}, {"claws": Claws}
    ) == ["LIGHTPHON_PLUGINS_CLAWS_KNOWN_NAME is not a setting; did you mean LIGHTPHON_PLUGINS_CLAWS_NAMES?"]


def test_unknown_variables_are_reported_not_refused():
    environ = {
        "LIGHTPHON_SERVER_PRT": "1",
        "LIGHTPHON_PORT_8000_TCP_ADDR": "10.0.0.1",  # Kubernetes
        "LIGHTPHON_CONFIG": "x",
        "LIGHTPHON_PLUGINS_BACK_END_TOKEN": "t",
        "OTHER": "",
    }
    load(None, environ)
    assert unknown_variables(environ, {"back-end": Example}) == [
        "LIGHTPHON_PORT_8000_TCP_ADDR is not a setting",
        "LIGHTPHON_SERVER_PRT is not a setting; did you mean LIGHTPHON_SERVER_PORT?",
    ]
    assert any("TOKEN" in line for line in unknown_variables(environ))


def test_what_commands_read_sets_something():
    environ = dict.fromkeys(("LIGHTPHON_CONFIG", "LIGHTPHON_URL", "LIGHTPHON_API_KEY", "LIGHTPHON_NODE_TOKEN"), "x")
    assert unknown_variables(environ) == []
    assert len(unknown_variables({"LIGHTPHON_API_KEYS": "x"})) == 1
