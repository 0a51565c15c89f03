"""What others have put into the books reaches the operator's terminal as text, and moves nothing there."""

import pytest
from click.testing import CliRunner

from lightphon_core.cli import build
from lightphon_core.cli.client import Client
from lightphon_core.cli.group import Failure
from lightphon_core.cli.report import print_table

SPOOF = "\x1b[2J\u202e\x9b1m\rgone"
SHOWN = r"\x1b[2J\u202e\x9b1m\rgone"


def test_what_is_in_a_table(capsys):
    print_table(("NAME", "NOTE"), [("alice", SPOOF), ("bob", "")])
    head, alice, _ = capsys.readouterr().out.splitlines()
    assert alice == f"alice  {SHOWN}"
    assert head == "NAME   NOTE"


@pytest.mark.parametrize(
    "arguments", [["send", "somebody@example.org", "5"], ["all"], ["automatic"], ["approve", "out_1"]]
)
def test_what_a_server_says_of_payouts(monkeypatch, arguments):
    """Reasons come from wallets and servers that somebody's address led to."""
    payout = {"id": "out_1", "amount_msat": 5_000, "status": "failed", "fee_msat": None, "reason": SPOOF}
    found = {"freezes": [{"provider": "lightning", "reason": SPOOF}], "data": []}
    found |= {"destination": SPOOF, "threshold_sats": 5, "trouble": SPOOF}
    monkeypatch.setattr(Client, "ask", lambda *_, **__: payout | found)
    said = CliRunner().invoke(build(), ["payout", *arguments], env={"LIGHTPHON_API_KEY": "lp_x"})
    assert said.exit_code == 0, said.output
    assert SHOWN in said.stdout
    assert all(line.isprintable() for line in said.stdout.splitlines())


def test_what_a_command_fails_with():
    assert Failure(f"The server says {SPOOF}.").format_message() == f"The server says {SHOWN}."
