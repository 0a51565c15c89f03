"""What the operator of a running node says to it, and sees of it."""

import asyncio
import io
import json
from datetime import datetime

import pytest
import structlog
from cattrs import structure
from click.testing import CliRunner
from lightphon_backend_gguf.node.cli import main
from lightphon_backend_gguf.node.link.link import LinkState
from lightphon_backend_gguf.node.operator.operation import Operation, OperationOptions
from lightphon_backend_gguf.node.operator.schedule import parse_schedule
from lightphon_backend_gguf.node.operator.status import Status, duration_text, to_json, to_lines
from lightphon_backend_gguf.node.operator.view import picture
from lightphon_backend_gguf.node.serving.served import Endpoint, Served
from lightphon_backend_gguf.node.serving.speed import Sample
from lightphon_backend_gguf.protocol.account import Account, EarningsMessage, OfferPrice, PriceMessage
from lightphon_backend_gguf.protocol.messages import ModelFacts, OfferMessage
from rich.console import Console

DAY = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - local time, a Monday
NIGHT = DAY.replace(hour=23)


def offer(name, **more):
    return OfferMessage(id=name, model=ModelFacts(id=name, capabilities=("chat",)), slots=2, **more)


class Link:
    """What an operation does with one."""

    def __init__(self, *offers):
        self.paused = False
        self.served = tuple(Served(each, Endpoint(f"http://{each.id}", "", each.id)) for each in offers)

    def pause(self, paused):
        self.paused = paused


class Operated:
    def __init__(self, *windows, **options):
        self.now, self.clock, self.stops = DAY, 0.0, 0
        offers = [offer("a/b", price=PriceMessage(per_minute=5000)), offer("down")]
        self.link = Link(offers[0])
        self.operation = Operation(
            OperationOptions(schedule=parse_schedule(windows), **options),
            name="[red]box",
            url="ws://127.0.0.1:1/x",
            offers=offers,
            stop=self.stop,
            log=structlog.get_logger(),
            clock=lambda: self.clock,
            now=lambda: self.now,
        )

    def stop(self):
        self.stops += 1

    def say(self, command):
        return self.operation.answer(command).message


@pytest.fixture
async def operated():
    operated = Operated()
    async with operated.operation.running(operated.link):
        yield operated


@pytest.fixture
async def by_night():
    operated = Operated("22:00-08:00")
    async with operated.operation.running(operated.link):
        yield operated


async def test_paused_by_hand(operated):
    assert operated.say("pause") == "Paused: no new jobs; those that run finish."
    assert operated.link.paused
    status = operated.operation.status()
    assert (status.paused, status.models[0].state) == ("by hand", "paused")
    assert operated.say("resume") == "Taking jobs."
    assert not operated.link.paused
    assert operated.operation.status().models[0].state == "offered"


async def test_the_schedule_pauses_and_resumes(by_night):
    assert by_night.link.paused, "before it has connected"
    assert by_night.operation.paused() == "by the schedule until Mon 22:00"
    assert by_night.say("resume") == "Still paused by the schedule until Mon 22:00."
    assert by_night.link.paused
    by_night.now = NIGHT
    by_night.operation.apply()
    assert not by_night.link.paused


async def test_a_pause_by_hand_wins_until_resume(by_night):
    by_night.now = NIGHT
    by_night.say("pause")
    for by_night.now in (DAY, NIGHT):
        by_night.operation.apply()
        assert by_night.operation.paused() == "by hand"
        assert by_night.link.paused
    assert by_night.say("resume") == "Taking jobs."
    assert not by_night.link.paused


async def test_the_schedule_is_looked_at_by_itself(monkeypatch):
    monkeypatch.setattr("lightphon_backend_gguf.node.operator.operation.SCHEDULE_S", 0)
    operated = Operated("22:00-08:00")
    seen = []
    operated.link.pause = seen.append
    async with operated.operation.running(operated.link):
        while len(seen) < 3:  # the link does not obey, so it is told again
            await asyncio.sleep(0)
    assert set(seen) == {True}


async def test_stopping(operated):
    assert operated.say("stop").startswith("Stopping")
    assert operated.stops == 1


async def test_the_status(operated):
    operated.clock = 90_061.0
    operated.operation.report(LinkState("connected", "Connected."))
    operated.operation.tally.of("a/b").done = 7
    operated.link.served[0].speed.add(Sample(decoded=10, decode_s=4))
    earnings = EarningsMessage(today=1_500, total=2_000_000, pending=1_001)
    told = PriceMessage(per_minute=7_000, per_mtok_prompt=10, per_mtok_completion=20, per_request=30)
    before = to_lines(operated.operation.status())
    assert "    price   5 sats a minute (set on this node)" in before
    assert "  earned    the server has not told" in before
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            operated.operation.told(Account(earnings, (OfferPrice("a/b", told, "account"),)))
    price = (
        "7 sats a minute, 0.01 sats a million prompt tokens, 0.02 sats a million completion tokens, 0.03 sats a request"
    )
    assert [log["event"] for log in logs] == [f"Price of a/b: {price}, set in the account."], "said once"
    status = operated.operation.status()
    assert structure(json.loads(json.dumps(to_json(status))), Status) == status
    lines = to_lines(status)
    assert lines == [
        "[red]box at ws://127.0.0.1:1/x",
        "  link      connected: Connected.",
        "  jobs      taken, 0 running",
        "  up        1d 1h 1m",
        "  earned    1.5 sats today (UTC), 2000 in all, 1.001 of it pending",
        "  a/b: offered",
        "    slots   0 of 2 busy, 2.5 tokens/s",
        "    jobs    7 done, 0 failed, 0 refused, 0 cancelled",
        f"    price   {price} (set in the account)",
        "  down: not running",
        "    slots   0 of 2 busy, - tokens/s",
        "    jobs    0 done, 0 failed, 0 refused, 0 cancelled",
        "    price   the server's own",
    ]


async def test_the_view_shows_names_as_they_are():
    operated = Operated(max_jobs=3)
    operated.link.served = ()
    out = io.StringIO()
    async with operated.operation.running(operated.link):
        operated.say("pause")
        Console(file=out, width=200).print(picture(operated.operation.status()))
    text = out.getvalue()
    for part in ("[red]box: connecting", "down", "not running", "paused by hand, 0 of at most 3 running, up 0m"):
        assert part in text, text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0m"), (59, "0m"), (3_600, "1h 0m"), (86_400, "1d 0h 0m")])
def test_durations(seconds, text):
    assert duration_text(seconds) == text


class TestCommands:
    """The commands, without a node; tests/live/test_operators.py has them with one."""

    def test_without_a_node(self, tmp_path):
        result = CliRunner().invoke(main, ["pause"], env={"LIGHTPHON_NODE_STATE_DIR": str(tmp_path)})
        assert (result.exit_code, result.stderr) == (1, "Error: No node of yours runs on this machine.\n")

    def test_a_schedule_that_is_none(self):
        arguments = ["run", "m.gguf", "--server", "http://127.0.0.1:1", "--token", "np_x", "--schedule", "always"]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: --schedule: 'always' is not like")
