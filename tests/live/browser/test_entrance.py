"""Coming in: registration, log-in, the menu, light and dark."""

import re

import pytest
from attrs import evolve
from playwright.sync_api import expect

from lightphon_core.accounts.attempts import Attempts
from lightphon_core.accounts.people import get_account
from lightphon_core.ledger.adjustment import credit
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import AccountSettings

from .conftest import PASSWORD

pytestmark = pytest.mark.browser


def test_register_log_out_and_in_again(visit, house):
    visitor = visit()
    page = visitor.opens("/")
    page.get_by_role("link", name="Create an account").click()
    name = house.new_name()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert").first).to_contain_text("characters")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url(house.url + "/wallet")

    page.get_by_role("button", name=re.compile("Log out")).click()
    page.wait_for_url(house.url + "/")
    visitor.opens("/usage?days=7")
    page.wait_for_url(re.compile(r"/login\?next="))
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.locator("main").get_by_role("alert")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(house.url + "/usage?days=7")
    # The browser itself writes to the console that a request was refused.
    visitor.problems[:] = [each for each in visitor.problems if "status of 4" not in each]


def test_strangers_who_try_a_name_do_not_keep_its_owners_browser_out(visit, house):
    visitor, stranger, name = visit(), visit(), house.person()

    def tries(somebody, password):
        page = somebody.opens("/login")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        with page.expect_response(house.url + "/api/account/login") as answered:
            page.get_by_role("button", name="Log in", exact=True).click()
        return answered.value.status

    assert tries(visitor, PASSWORD) == 200
    visitor.page.wait_for_url(house.url + "/")
    # Home is where both a log-in and a log-out lead, so its address tells nothing of the latter.
    with visitor.page.expect_navigation():
        visitor.page.get_by_role("button", name=re.compile("Log out")).click()
    (left,) = visitor.page.context.cookies(house.url + "/api/account/login")
    told = (left["name"], left["httpOnly"], left["sameSite"], left["path"])
    assert told == ("lightphon_device", True, "Strict", "/api/account/login")
    server = house.system.running.server
    used_up = evolve(Attempts(AccountSettings()).by_name(name), amount=100)
    server.call(server.gateway.limiter.admit([used_up]))
    assert tries(stranger, PASSWORD) == 429
    assert tries(visitor, PASSWORD) == 200
    stranger.problems[:] = [each for each in stranger.problems if "status of 4" not in each]


def test_who_leaves_says_that_what_is_left_is_given_up(visit, house):
    name = house.person()
    with house.system.running.server.database.transaction() as connection:
        carry_out(connection, [credit(get_account(connection, name).id, 532, "for the test")])
    visitor = visit(logged_in=name)
    page = visitor.opens("/account")
    page.get_by_text("Delete this account").click()
    leave = page.get_by_role("button", name=f"Delete {name} for good")
    leave.click()
    expect(page.locator("input:invalid[type=checkbox]")).to_be_visible()
    page.get_by_label("I give up the 0.532 sats").check()
    leave.click()
    page.wait_for_url(house.url + "/")


def test_another_password_and_leaving(visit, house):
    name, better = house.person(), "another battery staple"
    visitor = visit(logged_in=name)
    page = visitor.opens("/account")
    page.get_by_label("The password as it is").fill("not the password")
    page.get_by_label("The new one").fill(better)
    page.get_by_role("button", name="Change the password").click()
    expect(page.locator("main").get_by_role("alert").first).to_be_visible()
    page.get_by_label("The password as it is").fill(PASSWORD)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("The password is changed")).to_be_visible()
    page.get_by_text("Delete this account").click()
    page.get_by_role("button", name=f"Delete {name} for good").click()
    page.wait_for_url(house.url + "/")
    refused = page.request.post(
        house.url + "/api/account/login", data={"name": name, "password": better}, headers={"origin": house.url}
    )
    assert refused.status == 401
    visitor.problems[:] = [each for each in visitor.problems if "status of 4" not in each]


def test_light_and_dark_are_kept(visit):
    page = visit(dark=True).opens("/")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Dark colours").click()
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == light


def test_by_keyboard_alone(visit, house):
    page = visit(logged_in=house.person()).opens("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_menu_of_a_phone(visit, house):
    page = visit(phone=True, logged_in=house.person()).opens("/")
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Wallet")
    expect(link).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    link.click()
    page.wait_for_url(house.url + "/wallet")


def test_a_page_that_is_not_there(visit):
    visitor = visit()
    page = visitor.opens("/nothing/here")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing here")
    visitor.check_accessible()
    visitor.problems[:] = [each for each in visitor.problems if "status of 404" not in each]
