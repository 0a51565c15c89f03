"""The pages for administrators in a browser: money given by hand, people let in and kept out, prices, and all of it
accessible."""

import re

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.payments.payouts.payout import Payout, PayoutState, payout_id, taken
from lightphon_core.payments.payouts.store import add_payout
from lightphon_core.payments.payouts.withdrawal import write_entry
from lightphon_core.storage.schema import sessions

from .conftest import PASSWORD, copied, lose_an_answer

pytestmark = pytest.mark.browser


def database_of(house):
    return house.system.running.server.database


def make_old(house):
    """As if every password had been given long ago."""
    with database_of(house).transaction() as connection:
        connection.execute(update(sessions).values(recent_until=1))


def open_file(visitor, name):
    """The page of one account, by the search."""
    page = visitor.opens("/admin/accounts")
    page.get_by_role("searchbox").fill(name)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    return page


def refused_as_expected(visitor, status):
    """The browser itself writes to the console that a request was refused."""
    visitor.problems[:] = [each for each in visitor.problems if f"status of {status}" not in each]


def test_a_credit_asks_for_the_password_and_goes_on(visit, house):
    name = house.person()
    admin = visit(logged_in=house.administrator)
    page = open_file(admin, name)
    make_old(house)

    page.get_by_role("button", name="Credit …").click()
    dialog = page.get_by_role("dialog", name=f"Credit {name}")
    dialog.get_by_label("Sats").fill("12.5")
    dialog.get_by_label("Reason").fill("first prize")
    dialog.get_by_role("button", name="Credit", exact=True).click()
    again = page.get_by_role("dialog", name="Your password, please")
    again.get_by_label("Password").fill("not the password")
    again.get_by_role("button", name="Go on").click()
    expect(again.get_by_role("alert")).to_be_visible()
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Go on").click()

    expect(page.get_by_role("status")).to_contain_text("Credited.")
    expect(dialog).to_be_hidden()
    expect(page.locator("#wallet")).to_contain_text("12.5 sats")
    expect(page.get_by_role("row", name=re.compile("first prize"))).to_contain_text("+12.5")

    page.get_by_role("button", name="Debit …").click()
    dialog = page.get_by_role("dialog", name=f"Debit {name}")
    dialog.get_by_label("Sats").fill("13")
    dialog.get_by_label("Reason").fill("too much")
    dialog.get_by_role("button", name="Debit", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("has less than that")
    dialog.get_by_label("Sats").fill("2.5")
    dialog.get_by_role("button", name="Debit", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("too much"))).to_contain_text("-2.5")

    person = visit(logged_in=name).opens("/")
    expect(person.locator("#balance")).to_have_text("10")
    with database_of(house).snapshot() as connection:
        assert verify(connection) == []
    admin.opens("/admin/ledger")
    expect(page.get_by_text("The books are right.")).to_be_visible()
    for status in (400, 401, 403):
        refused_as_expected(admin, status)


def test_an_adjustment_that_is_sent_twice_happens_once(visit, house):
    """The answer to the first one is lost on its way; whoever waits for it in vain sends it again."""
    name = house.person()
    visitor = visit(logged_in=house.administrator)
    page = open_file(visitor, name)
    lose_an_answer(page, "/credit")
    page.get_by_role("button", name="Credit …").click()
    dialog = page.get_by_role("dialog", name=f"Credit {name}")
    dialog.get_by_label("Sats").fill("3")
    dialog.get_by_label("Reason").fill("once")
    credit = dialog.get_by_role("button", name="Credit", exact=True)
    credit.click()
    expect(dialog.get_by_role("alert")).to_contain_text("did not answer")
    credit.click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("row", name=re.compile("once"))).to_have_count(1)
    expect(page.locator("#wallet .figure").first).to_contain_text("3")


def test_an_account_is_blocked_after_a_question(visit, house):
    name = house.person()
    page = open_file(visit(logged_in=house.administrator), name)
    page.get_by_role("button", name="Block …").click()
    dialog = page.get_by_role("dialog", name=f"Block {name}?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("h1")).not_to_contain_text("blocked")
    page.get_by_role("button", name="Block …").click()
    dialog.get_by_role("button", name="Block", exact=True).click()
    expect(page.locator("h1")).to_contain_text("blocked")
    page.get_by_role("button", name="Unblock").click()
    expect(page.get_by_role("button", name="Block …")).to_be_visible()


def test_people_are_made_and_invited(visit, house):
    page = visit(logged_in=house.administrator).opens("/admin/accounts")
    page.get_by_role("button", name="Invite somebody").click()
    dialog = page.get_by_role("dialog", name="Invite somebody")
    dialog.get_by_role("button", name="Make an invitation").click()
    link = page.locator("#invite-link")
    expect(link).to_have_text(re.compile(re.escape(house.url) + r"/register\?invite=li_\w+"))
    dialog.get_by_role("button", name="Copy").click()
    assert copied(page, link.text_content()) == link.text_content()
    dialog.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Invite somebody").click()
    expect(link).to_be_hidden()
    expect(link).to_have_text("")  # shown once
    page.keyboard.press("Escape")

    name = house.new_name()
    page.get_by_role("button", name="New account").click()
    dialog = page.get_by_role("dialog", name="A new account")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_role("button", name="Create it").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def test_a_price_holds_at_once_and_is_taken_back(visit, house):
    visitor = visit(logged_in=house.administrator)
    page = visitor.opens("/admin/prices")
    page.get_by_role("button", name="Set a price").click()
    dialog = page.get_by_role("dialog", name="A price for a model")
    dialog.get_by_label("Model").fill("greeting")
    dialog.get_by_label("For a request").fill("0.25")
    dialog.get_by_role("button", name="Set the price").click()
    row = page.get_by_role("row", name=re.compile("greeting"))
    expect(row).to_contain_text(re.compile("0.25 sats .*request"))
    visitor.opens("/admin/nodes")
    expect(page.get_by_role("row", name=re.compile("cellar"))).to_contain_text(
        re.compile("0.25 sats .*request, your price")
    )
    visitor.opens("/admin/prices")
    row.get_by_role("button", name=re.compile("Remove")).click()
    expect(row).to_have_count(0)
    visitor.opens("/admin/nodes")
    expect(page.get_by_role("row", name=re.compile("cellar"))).to_contain_text("request, the node's price")


def test_payouts_are_frozen_reconciled_and_rejected(visit, house):
    name = house.person()
    with database_of(house).transaction() as connection:
        account = get_account(connection, name)
        deposit = Posting("clearing:lightning", chart.wallet(account.id, chart.Origin.LIGHTNING), 60_000)
        carry_out(connection, [Post("deposit", "test", name, (deposit,))])
        payout = Payout(
            *(payout_id(account.id), account.id, "lightning", PayoutState.AWAITING_APPROVAL, "bob@example.org"),
            *(False, 50_000, 1_000, None, 51_000, 0, None, None, None, None, 1),
        )
        add_payout(connection, payout)
        write_entry(connection, taken(payout))
    visitor = visit(logged_in=house.administrator)
    page = visitor.opens("/admin/payouts")
    page.get_by_role("button", name="Freeze …").click()
    dialog = page.get_by_role("dialog", name="Freeze payouts?")
    dialog.get_by_label("Reason").fill("The wallet moves.")
    dialog.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_text("lightning is frozen")).to_be_visible()
    page.get_by_role("button", name="Reconcile …").click()
    page.get_by_role("dialog").get_by_role("button", name="Reconcile", exact=True).click()
    expect(page.get_by_text("lightning is frozen")).to_have_count(0)

    page.get_by_role("button", name=f"Reject … 50 sats for {name}").click()
    dialog = page.get_by_role("dialog", name="Reject this payout?")
    expect(dialog).to_contain_text(f"50 sats for {name}.")
    dialog.get_by_label("Reason").fill("Please write to us first.")
    dialog.get_by_role("button", name="Reject it").click()
    row = page.get_by_role("row", name=re.compile(name))
    expect(row).to_have_count(0)
    visitor.opens("/admin/payouts?show=all")
    expect(row).to_contain_text("Please write to us first.")
    open_file(visitor, name)
    expect(page.locator("#wallet .figure").first).to_contain_text("60")


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
def test_the_file_of_an_account_is_accessible(visit, house, dark, phone):
    """tests/live/browser/test_every_page.py has the other pages."""
    visitor = visit(dark=dark, phone=phone, logged_in=house.administrator)
    page = open_file(visitor, house.administrator)
    expect(page.get_by_role("navigation", name="Administration").locator("[aria-current]")).to_be_in_viewport()
    visitor.check_accessible()
    page.get_by_role("button", name="Credit …").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    visitor.check_accessible()
