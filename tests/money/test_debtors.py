"""An account that owes money, over HTTP: what costs is refused with a 402 that says what to do, until it is settled."""

import httpx

from lightphon_core import Price
from lightphon_core.ledger import chart
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.testing.scripted import says

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}


def test_until_it_is_settled(start_priced):
    backend, running, books = start_priced(says("Hi"), Price(per_request=1_000), funds=10_000)
    owed = Posting(chart.receivable(books.account_id()), "clearing:test", 12_500)
    with books.database.transaction() as connection:
        carry_out(connection, [Post("reversal", "test", "dp_1:taken", (owed,))])
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=30) as client:
        refused = client.post("/v1/chat/completions", json=BODY)
        assert (refused.status_code, refused.json()["error"]["code"]) == (402, "balance_owed")
        assert "owes 12.5 sats" in refused.json()["error"]["message"]
        assert client.get("/api/wallet").json()["owed_msat"] == 12_500
        assert (backend.jobs, books.held()) == ([], 0)
        books.fund(5_000)
        running.server.call(running.server.gateway.keeper.ripen())
        assert client.get("/api/wallet").json()["owed_msat"] == 0
        assert client.post("/v1/chat/completions", json=BODY).status_code == 200
    assert (books.wallet(), books.problems()) == (1_500, [])
