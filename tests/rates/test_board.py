"""The rate over sources that lie, are silent, redirect, or answer without end. The clocks are held."""

import asyncio
import gzip
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import structlog
from attrs import define
from structlog.testing import capture_logs

from lightphon_core.errors import RateUnavailable, SettingsError
from lightphon_core.money import Cents
from lightphon_core.rates.board import RateBoard
from lightphon_core.rates.inquiry import Answers, Inquiry
from lightphon_core.rates.sources import Source
from lightphon_core.settings import RateSettings
from lightphon_core.types import Fiat

PRICE = Fiat("EUR", 1250)


@define
class TwoClocks:
    steady: float = 1_000.0
    wall: float = 1_800_000_000.0

    def monotonic(self):
        return self.steady

    def now(self):
        return self.wall

    def move(self, seconds):
        self.steady += seconds
        self.wall += seconds


class ScriptedInquiry:
    """Answers with `prices`, and failures of all the others."""

    def __init__(self, **prices):
        self.prices, self.failures, self.asked, self.while_asked = prices, {}, 0, lambda: None

    async def ask(self):
        self.asked += 1
        self.while_asked()
        return Answers({name: Decimal(price) for name, price in self.prices.items()}, dict(self.failures))


@pytest.fixture
def clock():
    return TwoClocks()


@pytest.fixture
def inquiry():
    return ScriptedInquiry(a="50000", b="50100", c="49900")


@pytest.fixture
def board(clock, inquiry):
    return board_of(clock, inquiry)


def board_of(clock, inquiry=None, *, wanted=True, **settings):
    log = structlog.stdlib.get_logger("test")
    return RateBoard(RateSettings(**settings), clock, log, wanted=wanted, inquiry=inquiry)


class TestBoard:
    async def test_quotes_what_was_agreed_on(self, board):
        with pytest.raises(RateUnavailable) as refused:
            board.quote(PRICE)
        assert (refused.value.code, refused.value.retry_after) == ("rate_unavailable", 60)
        assert (board.rate, board.approx(10**11)) == (None, None)
        await board.refresh()
        quote = board.quote(PRICE)
        assert (quote.amount, quote.rate) == (25_000_000, Decimal("50000.00"))
        assert board.approx(1_999_999) == 99  # 99.99995 cents
        with pytest.raises(RateUnavailable, match="no rate of USD"):
            board.quote(Fiat("USD", 1250))

    async def test_the_spread_is_the_operators(self, clock, inquiry):
        board = board_of(clock, inquiry, spread_bps=250)
        await board.refresh()
        assert board.quote(PRICE).rate == Decimal("51250.00")
        assert board.quote(PRICE).amount == 24_390_243  # 24,390,243.9
        assert board.approx(10**11) == 5_000_000  # for display, without it

    @pytest.mark.parametrize("moved", [("steady", 600.5), ("wall", 600.5)])
    async def test_is_good_for_ten_minutes_by_either_clock(self, clock, board, moved):
        await board.refresh()
        clock.move(600)
        assert board.quote(PRICE).amount == 25_000_000
        clock.move(-600)
        setattr(clock, moved[0], getattr(clock, moved[0]) + moved[1])
        with pytest.raises(RateUnavailable):
            board.quote(PRICE)
        assert board.approx(1) is None

    async def test_disagreement_renews_nothing(self, clock, board, inquiry):
        await board.refresh()
        clock.move(400)
        inquiry.prices = {"a": "50000", "b": "70000"}
        await board.refresh()
        assert board.quote(PRICE).rate == 50_000
        clock.move(201)
        await board.refresh()
        with pytest.raises(RateUnavailable):
            board.quote(PRICE)
        inquiry.prices = {"a": "69900", "b": "70000"}
        await board.refresh()
        assert board.quote(PRICE).rate == 69_950

    async def test_counts_from_when_it_asked(self, clock, board, inquiry):
        inquiry.while_asked = lambda: clock.move(599)
        await board.refresh()
        clock.move(1)
        assert board.rate == 50_000
        clock.move(1)
        assert board.rate is None

    async def test_says_once_what_changes(self, board, inquiry):
        async def said(**change):
            for name, value in change.items():
                setattr(inquiry, name, value)
            with capture_logs() as logs:
                await board.refresh()
                await board.refresh()
            return [(entry["event"].removeprefix("a source of rates "), entry.get("source")) for entry in logs]

        assert await said() == []
        prices = {"a": "50000", "b": "50000", "c": "90000"}
        assert await said(prices=prices, failures={"d": "slow"}) == [
            ("is not heard", "d"),
            ("is far from the others", "c"),
        ]
        assert await said(failures={"d": "gone"}) == [("is not heard", "d")]
        assert await said(failures={}) == [("is heard again", "d")]
        assert await said(prices={"a": "50000"}) == [("the sources of rates do not agree", None)]
        assert await said(prices={"a": "1", "b": "1"}) == [("the sources of rates agree again", None)]

    async def test_goes_on_after_a_fault(self, board, inquiry, monkeypatch):
        async def sleep(_):
            if inquiry.asked == 3:
                raise asyncio.CancelledError

        def fail_once():
            inquiry.while_asked = lambda: None
            raise RuntimeError("of ours")

        monkeypatch.setattr("lightphon_core.rates.board.asyncio.sleep", sleep)
        inquiry.while_asked = fail_once
        with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
            await board.keep()
        assert [entry["event"] for entry in logs] == ["the sources of rates were not asked"]
        assert board.rate == 50_000

    @pytest.mark.parametrize(
        ("settings", "rate"),
        [
            ({"wanted": False}, None),
            ({"fixed": Cents(6_000_000)}, Decimal("60000.00")),
            ({"fixed": Cents(6_000_000), "wanted": False}, None),
        ],
    )
    async def test_nobody_is_asked(self, clock, inquiry, settings, rate):
        board = board_of(clock, inquiry, **settings)
        await board.keep()
        assert (inquiry.asked, board.rate) == (0, rate)
        clock.move(10_000)
        assert board.rate == rate

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"sources": ("kraken", "mtgox")}, "there is no source 'mtgox'; there are binance, "),
            ({"urls": {"mtgox": "https://example.org"}}, r"\[rates\] urls: there is no source"),
            ({"sources": ("kraken", "kraken")}, "one source alone"),
        ],
    )
    def test_sources_that_there_are_not(self, clock, settings, said):
        with pytest.raises(SettingsError, match=said):
            board_of(clock, **settings)

    @pytest.mark.parametrize("url", ["ftp://example.org", "https://user@example.org/", "example.org", "https://x/#y"])
    def test_urls_that_are_none(self, url):
        with pytest.raises(ValueError, match="that of 'kraken' is none"):
            RateSettings(urls={"kraken": url})


def answered(body, *headers, status="200 OK"):
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers))
    return head.encode() + b"\r\n" + body


GOOD = b'{"EUR": 50000.5}'
ENDLESS = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
ANSWERS = {
    "/good": answered(GOOD, "set-cookie: seen=1; path=/"),
    "/redirects": answered(b"", "location: /elsewhere", status="302 Found"),
    "/fails": answered(GOOD, status="500 Internal Server Error"),
    "/limits": answered(GOOD, status="429 Too Many Requests"),
    "/packed": answered(gzip.compress(b'{"EUR": 50000, "x": "' + b"x" * 10**6 + b'"}'), "content-encoding: gzip"),
    "/garbage": b"\0\1\2\r\n\r\n",
    "/cut": b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{",
    "/absurd": answered(b'{"EUR": 0}'),
    "/old": answered(b'{"EUR": 50000, "at": 1}'),
    "/claims": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b" " * 70_000,
}
WHY = {
    "/redirects": "it answers with status 302",
    "/fails": "it answers with status 500",
    "/limits": "it answers with status 429",
    "/packed": "its answer is no JSON",
    "/garbage": "it cannot be asked (RemoteProtocolError)",
    "/cut": "it cannot be asked (RemoteProtocolError)",
    "/absurd": "its price is absurd",
    "/old": "its price is old",
    "/claims": "its answer is too long",
    "/endless": "its answer is too long",
    "/silent": "it does not answer in time",
    "/refused": "it cannot be asked (ConnectError)",
}


@asynccontextmanager
async def strangers():
    """Servers on one port: its number, and the heads of the requests that came."""
    heads = []

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        path = head.split()[1]
        try:
            if path == "/silent":
                await reader.read()  # until the client goes
            elif path == "/endless":
                writer.write(ENDLESS)
                while True:
                    writer.write(b" " * 8_192)
                    await writer.drain()
            else:
                writer.write(ANSWERS[path])
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


def source(url):
    dated = url.endswith("/old")
    return Source(url, lambda said: said["EUR"], (lambda said: said["at"]) if dated else None)


async def test_asks_strangers_with_care(clock, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with strangers() as (port, heads):
        urls = {path: f"http://127.0.0.1:{port}{path}" for path in ("/good", *WHY)}
        urls["/refused"] = "http://127.0.0.1:1/"
        sources = {name: source(url) for name, url in urls.items()}
        inquiry = Inquiry(sources, clock, timeout_s=1.0)
        answers = await inquiry.ask()
        assert answers.prices == {"/good": Decimal("50000.5")}
        assert answers.failures == WHY
        for name in WHY:
            del sources[name]
        assert (await inquiry.ask()).prices == answers.prices  # what was set as a cookie does not come back
    asked = {head.split("\r\n")[0] for head in heads}
    assert "GET /good HTTP/1.1" in asked
    assert "GET /elsewhere HTTP/1.1" not in asked
    for head in heads:
        names = {line.partition(":")[0].lower() for line in head.strip().split("\r\n")[1:]}
        assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert "user-agent: lightphon\r\n" in head.lower()


async def test_the_settings_say_whom(clock):
    async with strangers() as (port, heads):
        urls = {"mempool": f"http://127.0.0.1:{port}/good", "kraken": f"http://127.0.0.1:{port}/fails"}
        board = board_of(clock, sources=("kraken", "mempool"), urls=urls)
        await board.refresh()
        assert board.rate is None  # one alone
    assert sorted(head.split()[1] for head in heads) == ["/fails", "/good"]
