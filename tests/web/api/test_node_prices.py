"""What accounts ask for the models of their nodes."""

from lightphon_core import ConnectedNode, Model, Needs, Node, NodeState, Price
from lightphon_core.ledger import offer_prices
from lightphon_core.ledger.offer_prices import OfferPrices, Priced
from lightphon_core.money import MAX_PRICE_MSAT

URL = "/api/nodes/scripted-node/price"
FREE = {"per_minute": 0, "per_mtok_prompt": 0, "per_mtok_completion": 0, "per_request": 0}


def offering(people, owner):
    people.backend.owner, people.backend.price = owner.account.id, Price(per_minute=5)
    people.backend.models = [Model("owner/m"), Model("other")]
    people.backend.changed()


def shown(client):
    """Whose price is in force for each model, and how much a request costs."""
    (node,) = client.get("/api/nodes").json()["data"]
    return {each["id"]: (each["price_set_by"], each["price_msat"]["per_request"]) for each in node["models"]}


def test_a_price_set_in_the_account_wins_and_can_be_taken_back(people, code):
    alice = people("alice")
    offering(people, alice)
    answer = alice.put(URL, json={"model": "owner/m", "per_request": 3})
    price = {**FREE, "per_request": 3}
    assert answer.json() == {
        "node": "scripted-node",
        "model": "owner/m",
        "price_msat": price,
        "price_set_by": "account",
    }
    assert shown(alice) == {"owner/m": ("account", 3), "other": ("node", 0)}
    assert alice.put(URL, json={"model": "owner/m", "per_request": 4}).json()["price_msat"]["per_request"] == 4
    gateway = people.running.server.gateway
    (entry,) = [each for each in gateway.catalogue.entries() if each.offer.model.id == "owner/m"]
    assert gateway.price(entry.offer).price == Price(per_request=4)

    another = OfferPrices(people.running.server.database)  # another gateway, on the same database
    assert another.of(entry.offer) is None
    people.running.server.call(another.refresh())
    assert another.of(entry.offer) == Price(per_request=4)

    people.backend.online = False
    people.backend.changed()
    gone = {"node": "scripted-node", "model": "owner/m", "price_msat": None, "price_set_by": None}
    assert alice.delete(URL, params={"model": "owner/m"}).json() == gone
    people.backend.online = True
    people.backend.changed()
    assert shown(alice) == {"owner/m": ("node", 0), "other": ("node", 0)}
    assert code(alice.delete(URL, params={"model": "owner/m"})) == (404, "not_found")


def test_requests_are_ranked_by_the_price_in_force(people):
    alice = people("alice")
    offering(people, alice)
    router, needs = people.running.server.gateway.router, Needs("/v1/chat/completions", "owner/m", frozenset())

    def price():
        (ranked,) = router.rank(needs).candidates
        return ranked.stats.price

    assert price() == Price(per_minute=5)
    assert alice.put(URL, json={"model": "owner/m", "per_request": 3}).status_code == 200
    assert price() == Price(per_request=3)
    assert alice.delete(URL, params={"model": "owner/m"}).status_code == 200
    assert price() == Price(per_minute=5)


def test_only_the_owner_sets_it_and_only_what_is_a_price(people, code):
    alice, bob = people("alice"), people("bob")
    offering(people, alice)
    assert code(bob.put(URL, json={"model": "owner/m"})) == (404, "not_found")
    assert code(alice.put("/api/nodes/node-none/price", json={"model": "owner/m"})) == (404, "not_found")
    assert code(alice.put(URL, json={"model": "nothing"})) == (404, "not_found")
    for client, url, param in ((bob, URL, "node_id"), (alice, "/api/nodes/n/price", "node_id"), (alice, URL, "model")):
        assert client.put(url, json={"model": "nothing"}).json()["error"]["param"] == param
    for wrong in ({"per_request": -1}, {"per_request": MAX_PRICE_MSAT + 1}, {"per_request": 1.0}, {"price": 1}):
        assert code(alice.put(URL, json={"model": "owner/m", **wrong}))[0] == 400, wrong
    assert shown(alice)["owner/m"] == ("node", 0)
    assert alice.put(URL, json={"model": "owner/m", "per_request": MAX_PRICE_MSAT}).status_code == 200
    assert code(bob.delete(URL, params={"model": "owner/m"})) == (404, "not_found")
    assert shown(alice)["owner/m"] == ("account", MAX_PRICE_MSAT)


def test_a_node_that_is_not_online_just_now_has_its_prices_too(people, code):
    alice, bob = people("alice"), people("bob")
    offering(people, alice)
    node = Node("scripted-node", "scripted-node", alice.account.id)
    people.backend.online = False
    for number, state in enumerate([NodeState.PAUSED, NodeState.STARTING, NodeState.DRAINING]):
        people.backend.nodes = lambda state=state: [ConnectedNode(node, state)]
        people.backend.changed()
        answer = alice.put(URL, json={"model": "owner/m", "per_request": number})
        assert (answer.status_code, answer.json()["price_msat"]) == (200, None)
        assert code(bob.put(URL, json={"model": "owner/m"})) == (404, "not_found")
    assert code(alice.put("/api/nodes/node-none/price", json={"model": "owner/m"})) == (404, "not_found")
    people.backend.online = True
    del people.backend.nodes
    people.backend.changed()
    assert shown(alice) == {"owner/m": ("account", 2), "other": ("node", 0)}


def test_an_account_sets_so_many_and_they_go_with_it(people, code, monkeypatch):
    monkeypatch.setattr(offer_prices, "MOST_PRICES", 1)
    alice = people("alice")
    offering(people, alice)
    for _ in range(2):  # the same one may change
        assert alice.put(URL, json={"model": "owner/m"}).status_code == 200
    assert code(alice.put(URL, json={"model": "other"}))[0] == 400
    database = people.running.server.database
    with database.transaction() as connection:
        mine = Priced(alice.account.id, "scripted-node", "owner/m")
        assert mine in offer_prices.all_prices(connection)
        connection.exec_driver_sql(f"DELETE FROM sessions WHERE account_id = '{alice.account.id}'")
        connection.exec_driver_sql(f"DELETE FROM accounts WHERE id = '{alice.account.id}'")
        assert mine not in offer_prices.all_prices(connection)


async def test_a_slow_read_does_not_undo_a_change(database):
    """What a refresh read before a change was written is not taken for news after it."""
    prices = OfferPrices(database)
    mine = Priced("acc_a", "n", "m")

    class Slow:
        async def read(self, function):
            found = await database.read(function)
            prices._changed({mine: Price(per_request=1)})
            return found

    prices._database = Slow()
    await prices.refresh()
    assert prices._prices == {mine: Price(per_request=1)}
