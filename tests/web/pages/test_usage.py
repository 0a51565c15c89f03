"""/usage and /usage.csv, as the server renders them."""

import csv
import io
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import account_of_id
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import PLAYGROUND
from lightphon_core.accounts.terms import Terms
from lightphon_core.ledger.commands import Count
from lightphon_core.ledger.store import carry_out
from lightphon_core.ledger.usage import usage_of
from lightphon_core.web.pages.usage import page as usage_page
from lightphon_core.web.pages.usage.report import MEASURES, OTHERS, read_report
from lightphon_core.web.pages.usage.span import Span

DAY_US = 86_400_000_000


def used(account, number, *, key=PLAYGROUND, model="m", days_ago=0, tokens=10):
    row = {"id": f"{account} {number}", "account_id": account, "credential_id": key, "model": model, "node_id": "n"}
    return days_ago, Count({**row, "prompt_tokens": 1, "completion_tokens": tokens - 1, "ms": 5})


@pytest.fixture
def write(running):
    def write(*rows):
        with running.server.database.transaction() as connection:
            for days_ago, count in rows:
                at = time.time_ns() // 1_000 - days_ago * DAY_US
                carry_out(connection, [count], clock=lambda _, at=at: at)

    return write


def account_of(client):
    return re.search(r"acc_\w+", client.get("/api/account").text)[0]


def report(running, account, *, days=7, measure="answers"):
    today = datetime.now(UTC).date()
    with running.server.database.snapshot() as connection:
        return read_report(connection, account, Span(today - timedelta(days=days - 1), today), MEASURES[measure])


def test_nothing_yet_says_what_to_do(people):
    page = people("idle").get("/usage").text
    assert "Nothing was asked in these days" in page
    assert 'href="/playground"' in page
    assert '<svg class="chart"' not in page


def test_the_chart_shows_the_largest_models_and_all_others_together(people, running, write):
    account = account_of(people("many"))
    rows = [(f"model{number}", copies) for number, copies in enumerate((1, 6, 2, 5, 3, 4))]
    write(*(used(account, f"{name} {copy}", model=name, days_ago=copy % 2) for name, n in rows for copy in range(n)))
    found = report(running, account)
    assert found.names == ["model1", "model3", "model5", "model4", OTHERS]
    assert [(each.name, each.sums.requests, each.series) for each in found.models] == [
        ("model1", 6, 1), ("model3", 5, 2), ("model5", 4, 3), ("model4", 3, 4), ("model2", 2, 5), ("model0", 1, 5),
    ]  # fmt: skip
    assert sum(each.share for each in found.models) == pytest.approx(1)
    assert [each.requests for each in found.days] == [0, 0, 0, 0, 0, 9, 12]
    assert [bar.total for bar in found.chart.bars] == [0, 0, 0, 0, 0, 9, 12]
    assert len(found.chart.bars[-1].parts) == 5
    assert found.total.requests == 21


def test_as_many_models_as_colours_are_all_shown(people, running, write):
    account = account_of(people("five"))
    write(*(used(account, number, model=f"m{number}") for number in range(5)))
    assert report(running, account).names == [f"m{number}" for number in range(5)]


def test_what_costs_nothing_has_no_share_of_the_cost(people, running, write):
    client = people("free")
    write(used(account_of(client), 1))
    assert [each.share for each in report(running, account_of(client), measure="cost").models] == [0.0]
    assert client.get("/usage").status_code == 200


def test_keys_by_name_and_the_playground(people, running, write):
    client = people("keyed")
    account = account_of(client)
    with running.server.database.transaction() as connection:
        owner = account_of_id(connection, account)
        keys = [
            create_credential(connection, owner, Kind.API_KEY, now=time.time(), terms=Terms(name=name))[0].id
            for name in ("<laptop>", "twin", "twin")
        ]
    asked_with = [*keys, keys[0], PLAYGROUND, PLAYGROUND, PLAYGROUND]
    write(*(used(account, number, key=key) for number, key in enumerate(asked_with)))
    found = [(each.name, each.sums.requests) for each in report(running, account).keys]
    assert sorted(found) == [("<laptop>", 2), ("Playground", 3), ("twin", 1), ("twin", 1)]
    page = client.get("/usage?days=7&of=answers").text
    assert "&lt;laptop&gt;" in page
    assert "Playground" in page


def test_the_page_and_the_file_are_of_the_same_days(people, write):
    client = people("ranger")
    account = account_of(client)
    write(used(account, 1, days_ago=8), used(account, 2, days_ago=2, tokens=2_000), used(account, 3, model="=cmd()"))
    page = client.get("/usage?days=7&of=tokens").text
    assert '<p class="figure">2</p>' in page
    (path,) = re.findall(r'href="(/usage\.csv\?[^"]+)"', page)
    answer = client.get(path.replace("&amp;", "&"))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    today = datetime.now(UTC).date()
    name = f"lightphon-usage-{today - timedelta(days=6)}-{today}.csv"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    _, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert [(row[0], row[1], row[4]) for row in rows] == [
        (str(today), "'=cmd()", "1"),
        (str(today - timedelta(days=2)), "m", "1"),
    ]
    own = client.get(f"/usage?first={today - timedelta(days=9)}&last={today - timedelta(days=8)}").text
    assert '<p class="figure">1</p>' in own


def test_the_file_has_what_the_api_has(people, running, write):
    client = people("thorough")
    account = account_of(client)
    with running.server.database.transaction() as connection:
        owner = account_of_id(connection, account)
        names = ('=HYPERLINK("http://evil.example")', "a,b", 'say "hi"', "@sum", " -1", "é\u2028")
        keys = [
            create_credential(connection, owner, Kind.API_KEY, now=time.time(), terms=Terms(name=name))[0].id
            for name in names
            if name.isprintable()
        ]
    rows = [(key, model, days) for key in [*keys, PLAYGROUND] for model in ("m", "+1") for days in (0, 3)]
    write(*(used(account, n, key=key, model=model, days_ago=days) for n, (key, model, days) in enumerate(rows)))
    whole = client.get("/api/usage?by=day,model,key").json()["data"]
    head, *lines = csv.reader(io.StringIO(client.get("/usage.csv?days=30").text, newline=""))
    assert len(lines) == len(whole) == len(rows)
    for line, each in zip(lines, whole, strict=True):
        cells = dict(zip(head, line, strict=True))
        assert not line[1].startswith(("=", "+", "-", "@"))
        assert not line[3].lstrip().startswith(("=", "+", "-", "@"))
        assert {name: cells[name].removeprefix("'") for name in ("day", "model", "key", "key_name")} == {
            name: each[name] for name in ("day", "model", "key", "key_name")
        }
        tokens = [each["requests"], each["prompt_tokens"], each["completion_tokens"]]
        assert [cells["answers"], cells["prompt_tokens"], cells["completion_tokens"]] == [str(n) for n in tokens]
        assert float(cells["seconds"]) * 1_000 == pytest.approx(each["ms"])
        assert float(cells["cost_sats"]) * 1_000 == each["cost_msat"]


def test_a_file_that_is_cut_off_says_so(people, write, monkeypatch):
    client = people("endless")
    write(*(used(account_of(client), number, model=f"m{number}") for number in range(3)))
    monkeypatch.setattr(usage_page, "CSV_ROWS", 2)
    answer = client.get("/usage.csv")
    assert "-truncated.csv" in answer.headers["content-disposition"]
    assert len(answer.text.splitlines()) == 3


def test_what_cannot_be_shown_is_said_in_place(people):
    client = people("hasty")
    page = client.get("/usage?first=2027-02-01&last=2027-01-01")
    assert (page.status_code, "The first day is after the last." in page.text) == (200, True)
    assert client.get("/usage?days=<b>&of=<b>").status_code == 200
    assert client.get("/usage.csv?first=2027-02-01&last=2027-01-01").status_code == 400


def test_the_file_is_for_people_who_are_logged_in(people):
    answer = people().get("/usage.csv?days=7")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/usage.csv%3Fdays%3D7")


def test_nobody_sees_what_others_used(people, running, write):
    write(used("acc_of_somebody_else", 1))
    client = people("curious")
    assert "Nothing was asked" in client.get("/usage").text
    assert len(client.get("/usage.csv").text.splitlines()) == 1
    with running.server.database.snapshot() as connection:
        today = datetime.now(UTC).date()
        assert usage_of(connection, "acc_of_somebody_else", first=today, last=today, by=frozenset())
