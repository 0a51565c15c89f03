"""The Model Router: a key that is shown once, a ranking that lives, snippets that work as they are pasted."""

import contextlib
import io
import re

import httpx
import pytest
from playwright.sync_api import expect

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger.adjustment import credit
from lightphon_core.ledger.store import carry_out

from .conftest import copied

pytestmark = pytest.mark.browser

MODEL = "greeting"


def spent(page):
    return page.get_by_role("region", name="Your keys and tokens")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the snippet's client is not closed
def test_from_a_key_to_a_program_that_runs(visit, house):
    name = house.person()
    visitor = visit(logged_in=name)
    give(house, name, sats=10)
    page = visitor.opens("/router?sort=price&max_price=5")

    page.get_by_role("button", name="New Key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("laptop")
    dialog.get_by_label("Budget a day, sats").fill("2.5")
    dialog.get_by_label("Expires").select_option("in 30 days")
    visitor.check_accessible()
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_role("heading", name="Here it is, once")).to_be_focused()
    secret = dialog.locator("#made-secret").text_content()
    dialog.get_by_role("button", name="Copy").first.click()
    assert copied(page, secret) == secret
    visitor.check_accessible()
    dialog.get_by_role("button", name="I have it").click()
    expect(spent(page)).to_contain_text("0 of 2.5 sats today")

    # By keyboard alone from one program to the next.
    page.get_by_role("tab", name="curl").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Python")).to_be_focused()
    panel = page.get_by_role("tabpanel", name="Python")
    panel.get_by_role("button", name="Copy").last.click()
    program = copied(page, '"sort": "price"')
    assert secret in program
    assert '"sort": "price"' in program
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "<clipboard>", "exec"), {"__name__": "__main__"})
    assert printed.getvalue().startswith("Hello from a scripted model")
    expect(spent(page)).to_contain_text("1 of 2.5 sats today")
    keyed = {"authorization": f"Bearer {secret}"}
    assert httpx.get(f"{house.url}/v1/models", headers=keyed).status_code == 200

    page.get_by_role("button", name="Edit laptop").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("the laptop")
    dialog.get_by_label("A day", exact=True).fill("")
    dialog.get_by_label("A month", exact=True).fill("40")
    dialog.get_by_role("button", name="Save").click()
    expect(spent(page)).to_contain_text("of 40 sats this month")
    expect(spent(page)).not_to_contain_text("today")

    page.reload()
    expect(page.get_by_role("tabpanel")).to_contain_text("your-api-key")
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke the laptop").click()
    expect(page.get_by_role("dialog")).to_contain_text("Its last answer was on 20")
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("You have no key yet")).to_be_visible()
    assert httpx.get(f"{house.url}/v1/models", headers=keyed).status_code == 401


def test_an_agent_token_is_in_the_address(visit, house):
    page = visit(logged_in=house.person()).opens("/router")
    page.get_by_role("button", name="New Key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Agent token, which stands in the address").check()
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_text("As a base URL")).to_be_visible()
    base_url = dialog.locator("#made-base").text_content()
    dialog.get_by_role("button", name="I have it").click()
    assert httpx.get(f"{base_url}/models").json()["data"][0]["id"] == "auto"
    expect(page.get_by_label("Agent token, in the address")).to_be_checked()
    page.get_by_role("tab", name="Cursor").click()
    panel = page.get_by_role("tabpanel", name="Cursor")
    expect(panel.get_by_text(base_url)).to_be_visible()
    page.get_by_label("API key", exact=True).check()
    expect(panel.get_by_text(f"{house.url}/v1", exact=True)).to_be_visible()


def test_the_ranking_lives(visit, house):
    page = visit(logged_in=house.person()).opens("/router")
    page.evaluate("window.mark = 'the same page'")
    rows = page.locator("#ranking li.candidate")
    expect(rows).to_have_count(1)
    said = page.locator("#ranking-said")

    page.get_by_label("Most for an answer, sats").fill("0.5")
    expect(page.get_by_text("Nothing is left")).to_be_visible()
    expect(page.get_by_label("Most for an answer, sats")).to_be_focused()
    expect(said).to_have_text("0 candidates")
    assert page.url == f"{house.url}/router?max_price=0.5"
    page.get_by_label("Most for an answer, sats").fill("-1")
    expect(page.locator("#ranking")).to_contain_text("Invalid value for 'max_price'")
    expect(page.get_by_label("Most for an answer, sats")).to_have_attribute("aria-invalid", "true")
    page.get_by_role("link", name="Clear").click()
    expect(rows).to_have_count(1)
    assert page.url == f"{house.url}/router"

    page.get_by_role("button", name=f"Use {MODEL} in the snippets").click()
    expect(page.get_by_role("tabpanel", name="curl")).to_contain_text(f'"model": "{MODEL}"')
    expect(page.get_by_role("link", name="Try it in the Playground")).to_have_attribute(
        "href", f"/playground?model={MODEL}"
    )
    page.get_by_label("Sort by").select_option("throughput")
    node = house.system.start_node(("greeting", "other/newcomer"), name="attic")
    expect(rows).to_have_count(2)
    newcomer = page.get_by_role("button", name="Use other/newcomer in the snippets")
    newcomer.click()
    expect(newcomer).to_have_attribute("aria-pressed", "true")
    node.popen.terminate()
    expect(rows).to_have_count(1)
    expect(page.get_by_role("tabpanel", name="curl")).to_contain_text('"model": "auto"')
    assert re.search(r"use=other%2Fnewcomer&sort=throughput", page.url)
    assert page.evaluate("window.mark") == "the same page"


def give(house, name, *, sats):
    """Money to spend, as from the operator."""
    with house.system.running.server.database.transaction() as connection:
        carry_out(connection, [credit(get_account(connection, name).id, sats * 1000, "for the test")])
