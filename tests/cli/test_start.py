"""How little a command loads, and that what `--help` says of one is what it says of itself."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from lightphon_core.cli import LISTED, build
from lightphon_core.cli.group import Commands


def loaded(*arguments):
    """The packages that a command line has imported when it ends."""
    program = (
        "import sys\n"
        "from lightphon_core.cli import main\n"
        f"sys.argv = ['lightphon', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\n' + ' '.join(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def test_a_command_loads_what_it_needs_and_no_more(run, data_dir):
    run("init")
    assert not loaded("--help") & {"sqlalchemy", "alembic", "litestar", "uvicorn", "aiohttp", "jinja2", "argon2"}
    listing = loaded("key", "list", "--data-dir", str(data_dir))
    assert "sqlalchemy" in listing
    # Nor any plugin, since none is asked for a command that is the core's own.
    plugins = {name for name in listing if name.startswith("lightphon_") and name != "lightphon_core"}
    assert not (plugins | listing & {"alembic", "litestar", "uvicorn", "httpx", "jinja2", "argon2"})


@pytest.mark.parametrize("name", LISTED)
def test_what_help_says_of_a_command(name):
    assert LISTED[name].summary == LISTED[name].load().get_short_help_str(1_000)


def test_commands_of_plugins_come_after_our_own_and_replace_none():
    asked = []

    def others(group):
        asked.append(group)
        for name in ("zeal", "serve", "alms"):
            group.add_command(
                click.Command(name, callback=lambda name=name: click.echo(f"plugin's {name}"), help="Do.")
            )
        group.add_command(click.Command("shy", hidden=True))

    cli = Commands("lightphon", listed={"serve": LISTED["serve"], "key": LISTED["key"]}, others=others)
    assert "Usage: lightphon serve" in CliRunner().invoke(cli, ["serve", "--help"]).stdout
    assert asked == []
    assert CliRunner().invoke(cli, ["alms"]).stdout == "plugin's alms\n"
    shown = CliRunner().invoke(cli, ["--help"]).stdout
    assert [line.split()[0] for line in shown.partition("Commands:\n")[2].splitlines() if line[2] != " "] == [
        *("serve", "key", "alms", "zeal")
    ]
    assert asked == [cli]
    unknown = CliRunner().invoke(build(), ["serv"])
    assert unknown.exit_code == 2
    assert "No such command 'serv'" in unknown.stderr
