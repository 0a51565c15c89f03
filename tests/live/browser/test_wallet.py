"""Money in the browser: a deposit turns to paid by itself, a withdrawal is paid once, usage is drawn by day."""

import re
import time

import httpx
import pytest
from playwright.sync_api import expect

from lightphon_core.ledger.commands import Count
from lightphon_core.ledger.store import carry_out

from .conftest import copied, lose_an_answer

pytestmark = pytest.mark.browser


def deposits(page, sats):
    """From the form to the invoice."""
    page.get_by_label("Sats", exact=True).fill(str(sats))
    page.get_by_role("button", name="Show the invoice").click()
    expect(page.get_by_role("heading", name="Waiting for the payment")).to_be_focused()
    return page.locator("#invoice").inner_text()


def test_a_deposit_turns_to_paid_by_itself(visit, house):
    visitor = visit(logged_in=house.person())
    page = visitor.opens("/wallet")
    expect(page.locator("#balance-low")).to_be_visible()
    expect(page.get_by_text("Nothing has come or gone yet.")).to_be_visible()
    page.get_by_role("button", name="5\u202f000 sats").click()
    expect(page.get_by_label("Sats", exact=True)).to_have_value("5000")
    invoice = deposits(page, 5_000)
    assert invoice.startswith("lnbcrt50u1")
    expect(page.get_by_role("img", name="QR code of the invoice")).to_be_visible()
    expect(page.locator("[data-until]")).to_contain_text("minutes left")
    page.locator("#deposit-now").get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status").get_by_text("Copied.")).to_be_visible()
    assert copied(page, invoice) == invoice
    visitor.check_accessible()

    page.reload()
    expect(page.locator("#invoice")).to_have_text(invoice)
    page.get_by_role("button", name="Pay with play money").click()
    expect(page.get_by_role("heading", name="Paid: 5\u202f000 sats")).to_be_focused()
    expect(page.get_by_role("status").get_by_text("Paid. It is in your wallet.")).to_be_visible()
    expect(page.locator("#balance")).to_have_text("5\u202f000")
    expect(page.locator("#balance-low")).to_be_hidden()
    expect(page.locator("#statement tbody tr")).to_have_text(re.compile(r"Deposit.*\+5\u202f000", re.DOTALL))
    expect(page.locator("#balance-card")).to_contain_text("To spend and to withdraw")
    visitor.check_accessible()

    deposit = page.url.partition("deposit=")[2]
    visitor.opens(f"/deposits/{deposit}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Paid")
    visitor.check_accessible()
    page.get_by_role("link", name="Back to the wallet").click()
    page.get_by_role("navigation", name="Wallet", exact=True).get_by_role("link", name="Deposits").click()
    expect(page.get_by_role("table").locator("tbody tr")).to_contain_text("paid")
    visitor.check_accessible()


def test_paid_on_a_phone_while_another_window_looks(visit, house):
    """What is paid elsewhere is seen here; the way back leads to where one was."""
    name = house.person()
    visitor = visit(dark=True, phone=True, logged_in=name)
    page = visitor.opens("/wallet")
    invoice = deposits(page, 21)
    visitor.check_accessible()
    other = visit(logged_in=name).opens("/wallet")
    other.get_by_role("link", name="21 sats over lightning").click()
    expect(other.locator("#invoice")).to_have_text(invoice)
    other.get_by_role("button", name="Pay with play money").click()
    expect(page.get_by_role("heading", name="Paid: 21 sats")).to_be_visible()
    expect(other.get_by_role("heading", name="Paid: 21 sats")).to_be_visible()
    page.go_back()
    expect(page.locator("#deposit-now")).to_be_hidden()
    expect(page.locator("#balance")).to_have_text("21")


def test_what_the_server_refuses_is_said_in_place(visit, house):
    visitor = visit(logged_in=house.person())
    page = visitor.opens("/wallet/withdrawals")
    page.get_by_label("To", exact=True).fill("nonsense")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator("#withdraw").get_by_role("alert")).to_contain_text("not a Lightning invoice")
    expect(page.get_by_label("To", exact=True)).to_be_focused()
    expect(page.get_by_label("To", exact=True)).to_have_attribute("aria-invalid", "true")
    visitor.check_accessible()
    visitor.problems[:] = [each for each in visitor.problems if "status of 400" not in each]


def test_a_withdrawal_whose_answer_was_lost_is_paid_once(visit, house):
    visitor = visit(logged_in=house.person())
    page = visitor.opens("/wallet")
    deposits(page, 500)
    page.get_by_role("button", name="Pay with play money").click()
    expect(page.locator("#balance")).to_have_text("500")
    made = page.request.post(
        house.url + "/api/demo-wallet/invoice", data={"amount_sats": 100}, headers={"origin": house.url}
    )
    visitor.opens("/wallet/withdrawals")
    expect(page.locator("#room")).to_contain_text("485")  # and 14.85 for the network
    page.get_by_label("To", exact=True).fill(made.json()["invoice"])

    lose_an_answer(page, "/api/payouts")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator("#withdraw").get_by_role("alert")).to_contain_text("The server did not answer.")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("status").get_by_text("It is on its way.")).to_be_visible()
    expect(page.locator("#payouts tbody tr")).to_have_count(1)
    expect(page.locator("#payouts tbody tr")).to_contain_text("paid")
    expect(page.get_by_label("To", exact=True)).to_have_value("")
    visitor.check_accessible()


def test_automatic_payouts_are_set_up_and_stopped(visit, house):
    page = visit(logged_in=house.person()).opens("/wallet/withdrawals")
    page.get_by_label("Lightning address").fill("me@example.org")
    page.get_by_role("button", name="Set it up").click()
    expect(page.locator("#automatic")).to_contain_text("me@example.org whenever it is 1\u202f000 sats or more")
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_role("button", name="Set it up")).to_be_visible()


def test_the_page_after_a_payment_needs_no_script(visit, house):
    visitor = visit(java_script_enabled=False)
    with httpx.Client(
        base_url=house.url, headers={"authorization": f"Bearer {house.system.running.api_key}"}
    ) as somebody:
        made = somebody.post("/api/deposits", json={"amount_sats": 7}).json()
        page = visitor.opens(f"/deposits/{made['id']}")
        expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for the payment")
        expect(page.get_by_text("it is worth nothing")).to_be_visible()
        expect(page.get_by_text("needs JavaScript")).to_have_count(0)
        somebody.post("/api/demo-wallet/pay", json={"invoice": made["invoice"]})
    expect(page.get_by_role("heading", level=1)).to_have_text("Paid")


def test_usage_is_drawn_by_day_and_taken_along(visit, house):
    visitor = visit(logged_in=house.person())
    account = visitor.page.request.get(house.url + "/api/account").json()["id"]
    now = time.time_ns() // 1_000
    with house.system.running.server.database.transaction() as connection:
        for number in range(12):
            at = now - number % 4 * 86_400_000_000
            row = {"id": f"{account}{number}", "account_id": account, "credential_id": "playground", "node_id": "n"}
            row |= {"model": f"m{number % 7}", "prompt_tokens": 10, "completion_tokens": 5, "ms": 7}
            carry_out(connection, [Count(row)], clock=lambda _, at=at: at)
    page = visitor.opens("/usage")
    expect(page.get_by_role("img", name="Cost by day")).to_be_visible()
    page.get_by_role("link", name="7 days").click()
    page.get_by_role("link", name="Answers").click()
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "page")
    expect(page.locator(".chart g")).to_have_count(4)
    expect(page.get_by_role("list", name="Colours").get_by_role("listitem")).to_have_count(5)
    expect(page.get_by_role("table", name=re.compile("Shares are of the answers")).first).to_contain_text("m0")
    page.get_by_text("The same as a table").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name=re.compile("The latest day first")).locator("tbody tr")).to_have_count(4)
    visitor.check_accessible()
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    assert started.value.suggested_filename.startswith("lightphon-usage-")
    assert page.request.get(started.value.url).text().startswith("day,model,key,")

    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    visitor.check_accessible()
