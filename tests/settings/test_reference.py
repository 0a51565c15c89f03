"""What is written about the settings comes from the settings: the reference, and the file to begin with."""

import re
from pathlib import Path

import attrs
import pytest

from lightphon_core.errors import SettingsError
from lightphon_core.settings import Secret, ServerSettings, Settings, load, markdown, plugin_settings, settings_file
from lightphon_core.settings.environment import variables

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@attrs.frozen
class Inner:
    on: bool = attrs.field(default=True, metadata={"help": "Whether | not."})


@attrs.frozen
class PluginSettings:
    """What the plugin does."""

    token: Secret = attrs.field(metadata={"help": "Needed."})
    retries: int = attrs.field(default=3, metadata={"help": "Times."})
    hosts: tuple[str, ...] = attrs.field(default=(), metadata={"help": "Hosts.", "example": ("a", "b")})
    inner: Inner = Inner()
    plain: Inner | None = attrs.field(default=None, metadata={"variables": "BACK_END"})


def uncommented(text):
    """The file with each setting in it set."""
    return re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)


def test_the_page_is_what_the_program_says():
    assert PAGE.read_text("utf-8") == markdown({}), "run: lightphon settings --core > docs/settings.md"


def test_the_page_has_every_setting_and_what_it_is():
    page = markdown({"back-end": PluginSettings})
    for variable in variables(Settings):
        assert page.count(f"| `{variable.name}` |") == 1
    assert "| `port` | `LIGHTPHON_SERVER_PORT` | whole number | `8000` | TCP port to listen on" in page
    assert '"closed" or "invite" or "open"' in page
    assert "| `per_minute` | `LIGHTPHON_PRICING_PER_MINUTE` | sats | `0` |" in page
    assert '| `least_eur` | `LIGHTPHON_DEPOSITS_LEAST_EUR` | euros | `"1.00"` |' in page
    assert "## `[plugins.back-end]`\n\nWhat the plugin does.\n" in page
    assert "| `token` | `LIGHTPHON_PLUGINS_BACK_END_TOKEN` | secret text | required | Needed. |" in page
    assert (
        '| `hosts` | `LIGHTPHON_PLUGINS_BACK_END_HOSTS` | list of texts | `[]` | Hosts. Example: `["a", "b"]`. |'
        in page
    )
    assert "## `[plugins.back-end.inner]`" in page
    assert "Whether \\| not." in page
    assert "## Variables `BACK_END_...`" in page
    assert "|  | `BACK_END_ON` | true or false | `true` | Whether \\| not. |" in page
    assert "plain" not in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_a_new_file_sets_nothing_but_the_directory(tmp_path):
    config = tmp_path / "lightphon.toml"
    config.write_text(settings_file({"back-end": PluginSettings}, data_dir="."), "utf-8")
    assert load(config, {}) == attrs.evolve(
        Settings(data_dir=tmp_path, config=config),
        plugins=load(config, {}).plugins,
    )
    assert load(config, {}).plugins.tables == {"back-end": {"inner": {}}}


def test_each_line_of_a_new_file_can_be_uncommented(tmp_path):
    config = tmp_path / "lightphon.toml"
    config.write_text(uncommented(settings_file({"back-end": PluginSettings}, data_dir="/d")), "utf-8")
    environ = {"METRICS_TOKEN": "0123456789abcdef"}
    settings = load(config, environ)
    default = Settings(data_dir=Path("/d"))
    for section in attrs.fields(attrs.resolve_types(Settings)):
        if not attrs.has(section.type):
            continue
        for setting in attrs.fields(section.type):
            value = getattr(getattr(settings, section.name), setting.name)
            expected = getattr(getattr(default, section.name), setting.name)
            if "example" in setting.metadata:
                assert value != expected
            elif not setting.metadata.get("internal"):
                assert value == expected
    plugin = plugin_settings(settings, "back-end", PluginSettings, {})
    assert plugin == PluginSettings(Secret("..."), hosts=("a", "b"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trusted_proxies = ['127.0.0.1', 'hush']", "trusted_proxies must be IP addresses or networks such as"),
        ("trusted_proxies = ['']", "entry 1 is neither."),
        ("allowed_hosts = ['a', 'hush me']", "entry 2 is none."),
        ("allowed_hosts = ['a:80']", "must be host names such as api.example.org and *.example.org, without a port"),
        ("allowed_hosts = ['*']", "entry 1 is none."),
        ("allowed_hosts = ['a.*.b']", "entry 1 is none."),
        ("metrics_token = 'hush-hush'", "metrics_token must have 16 characters or more."),
    ],
)
def test_what_a_server_cannot_work_with(tmp_path, text, message):
    config = tmp_path / "lightphon.toml"
    config.write_text(f"[server]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load(config, {})
    assert caught.value.message.startswith(f"{config}: [server] ")
    assert message in caught.value.message
    assert "hush" not in caught.value.message


def test_what_it_can():
    server = ServerSettings(
        trusted_proxies=("127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"),
        allowed_hosts=("localhost", "api.example.org", "*.example.org", "10.0.0.1", "::1"),
        metrics_token=Secret("0123456789abcdef"),
    )
    assert "0123456789abcdef" not in repr(server)
