"""Deposits and payouts by real payments."""

import time

import pytest

from lightphon_core.testing.process import until

pytestmark = pytest.mark.regtest


def test_probe(server, network, books):
    ann = server.register("ann")
    t=time.time()
    d = ann.ask("POST", "/api/deposits", {"amount_sats": 50_000})
    print(d, time.time()-t)
    t=time.time(); assert network.person.pay(d["invoice"]); paid=time.time()
    got = until(lambda: (x := ann.ask("GET", f"/api/deposits/{d['id']}"))["status"] == "settled" and x, "settled")
    print("settle", paid-t, time.time()-paid, got)
    print(ann.ask("GET","/api/wallet"))
    inv = network.person.invoice(20_000)
    t=time.time(); p = ann.ask("POST","/api/payouts",{"destination":inv}); print(p)
    got = until(lambda: (x := ann.ask("GET", f"/api/payouts/{p['id']}"))["state"] in ("paid","failed") and x, "settled")
    print(got, time.time()-t)
    print(ann.ask("GET","/api/wallet"))
    print(server.command("ledger","show","clearing:lightning","--json"))
    print(server.memory_mb(), network.programs.memory_mb())
    books.check()
