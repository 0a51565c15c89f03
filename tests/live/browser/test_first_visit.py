"""The first visit of a stranger, from the first page to the first answer, by what is on the screen alone."""

import re

import pytest
from lightphon_backend_gguf.testing import scripted
from playwright.sync_api import expect

from .conftest import PASSWORD

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
def test_from_the_first_page_to_the_first_answer(visit, house, dark, phone):
    page = visit(dark=dark, phone=phone).opens("/")
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Name").fill(house.new_name())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()

    page.get_by_label("Sats", exact=True).fill("1000")
    page.get_by_role("button", name="Show the invoice").click()
    expect(page.get_by_role("img", name="QR code of the invoice")).to_be_visible()
    page.get_by_role("button", name="Pay with play money").click()
    expect(page.get_by_role("heading", name="Paid: 1\u202f000 sats")).to_be_visible()

    go(page, "Model Router", phone=phone)
    page.get_by_role("button", name="New Key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_role("heading", name="Here it is, once")).to_be_focused()
    secret = dialog.locator("#made-secret").text_content()
    assert re.fullmatch("lp_[A-Za-z0-9]+", secret)
    dialog.get_by_role("button", name="I have it").click()
    expect(page.get_by_role("tabpanel", name="curl")).to_contain_text(secret)
    expect(page.locator("#ranking li.candidate")).not_to_have_count(0)

    page.get_by_role("link", name="Try it in the Playground").click()
    page.get_by_label("Message").fill("Hello!")
    page.get_by_role("button", name="Send").click()
    answer = page.locator("#messages > li.talk-answer")
    expect(answer.locator("[data-slot=text]")).to_have_text(scripted.GREETING.text)
    served = answer.get_by_role("list", name="Who answered")
    expect(served).to_contain_text("greeting on cellar")
    expect(served).to_contain_text("tokens/s")
    expect(served).to_contain_text("1 sat")
    expect(page.locator("#balance")).to_have_text("999")

    go(page, "Usage", phone=phone)
    expect(page.get_by_role("main")).to_contain_text("Playground")
    page.get_by_role("link", name="LightPhon").click()
    expect(page.get_by_text("From here to your first answer")).to_be_hidden()


def test_where_the_guide_sends_people(visit, house):
    page = visit().opens("/app.html")
    assert page.url == house.url + "/"
    expect(page.get_by_role("link", name="Create an account")).to_be_visible()


def go(page, name, *, phone):
    """By the menu."""
    if phone:
        page.get_by_role("button", name="Menu").click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()
