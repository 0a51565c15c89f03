"""Who may look at which page, and what every page tells the browser."""

import html
import re
from html.parser import HTMLParser

import httpx
import pytest
from litestar import Litestar

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import AccountSettings, ServerSettings
from lightphon_core.web.pages.frame.security import CONTENT_SECURITY_POLICY, page_headers
from lightphon_core.web.pages.frame.visitors import way_back
from lightphon_core.web.pages.routes import pages

from .conftest import BROWSERS

PUBLIC = {"/", "/register", "/login", "/guide", "/design", "/status"}
MEMBERS = {
    *("/account", "/playground", "/router", "/nodes", "/usage"),
    *("/wallet", "/wallet/deposits", "/wallet/withdrawals"),
}
ADMINISTRATORS = {
    "/admin",
    *(f"/admin/{part}" for part in ("accounts", "nodes", "prices", "payouts", "ledger", "plugins", "settings")),
}
OF_ONE_ACCOUNT = "/admin/accounts/{account_id:str}"
BY_ID = "/deposits/{deposit_id:str}"
"""For everybody who knows one: tests/payments/test_euros.py."""
NO_PAGES = {"/app.html", "/assets/{version:str}/{path:path}", "/usage.csv"}


class Tags(HTMLParser):
    """Every element of a page, and its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def checked(answer):
    """An answer that is a page, as every page has to be."""
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    tags = Tags(answer.text).found
    assert sum(tag == "h1" for tag, _ in tags) == 1
    assert sum(tag == "main" for tag, _ in tags) == 1
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "ids are unique"
    for tag, attributes in tags:
        assert "style" not in attributes, "styles are in stylesheets"
        assert not [name for name in attributes if name.startswith("on")], "scripts are in files"
        assert tag != "style"
        assert tag != "script" or attributes["src"].startswith("/assets/")
        if tag in ("link", "img", "use"):
            assert (attributes.get("href") or attributes["src"]).startswith(("/assets/", "#"))
    return answer


def test_the_lists_name_every_page():
    paths = {route.path for route in Litestar([pages()], openapi_config=None, logging_config=None).routes}
    assert paths == PUBLIC | MEMBERS | ADMINISTRATORS | {OF_ONE_ACCOUNT, BY_ID} | NO_PAGES


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_pages_for_everybody(people, path):
    assert checked(people().get(path)).status_code == 200


def test_pages_for_people_who_are_logged_in(people):
    nobody, somebody = people(), people("member")
    for path in MEMBERS:
        answer = nobody.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
        assert checked(somebody.get(path)).status_code == 200


def test_pages_for_administrators(people):
    nobody, somebody, administrator = people(), people("no-administrator"), people("administrator", admin=True)
    found = administrator.get("/admin/accounts?search=no-administrator").text
    for path in (*ADMINISTRATORS, re.findall(r'href="(/admin/accounts/acc_\w+)"', found)[0]):
        assert nobody.get(path).status_code == 303
        assert checked(somebody.get(path)).status_code == 403
        assert checked(administrator.get(path)).status_code == 200


def test_a_key_opens_no_page_and_an_ended_session_is_nobodys(people, running):
    keyed = people().get("/", headers={"authorization": f"Bearer {running.api_key}"})
    assert "Log in" in keyed.text
    somebody = people("leaver")
    assert "Hello, leaver" in somebody.get("/").text
    proxied = {"authorization": "Basic dXNlcjpwYXNzd29yZA=="}  # for a proxy in front, that has checked it
    assert "Hello, leaver" in somebody.get("/", headers=proxied).text
    assert somebody.get("/account", headers=proxied).status_code == 200
    somebody.post("/api/account/logout")
    assert "Hello" not in somebody.get("/").text


def test_who_is_logged_in_need_not_log_in_or_register(people):
    somebody = people("insider")
    assert somebody.get("/login?next=/wallet").headers["location"] == "/wallet"
    assert somebody.get("/register").headers["location"] == "/"
    assert somebody.get("/app.html").headers["location"] == "/"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "evil", "", "/a\nb"]
)
def test_the_way_back_is_ours(people, elsewhere):
    assert way_back(elsewhere) == "/"
    page = people().get("/login", params={"next": elsewhere}).text
    assert re.search(r'data-then="([^"]*)"', page)[1] == "/"


def test_what_a_visitor_sends_is_text(people):
    page = checked(people().get("/register", params={"invite": '"><script>alert(1)</script>'})).text
    assert "<script>alert" not in page
    answer = checked(people().get("/login", params={"next": '/"><img src=x>'}))
    assert "<img" not in answer.text


def test_what_is_not_there_is_a_page_for_browsers_alone(people):
    nobody = people()
    answer = checked(nobody.get("/nothing/here"))
    assert (answer.status_code, "Nothing here" in answer.text) == (404, True)
    for path in ("/api/nothing", "/v1/nothing"):
        assert nobody.get(path).json()["error"]["code"] == "unknown_url"
    assert nobody.get("/nothing", headers={"accept": "*/*"}).json()["error"]["code"] == "unknown_url"
    assert nobody.get("/", headers={"accept": "*/*"}).json()["error"]["code"] == "unknown_url"


def test_behind_https_browsers_come_back_by_it():
    assert "strict-transport-security" not in page_headers(https=False)
    assert page_headers(https=True)["strict-transport-security"] == "max-age=31536000"


def test_the_chosen_theme_is_there_from_the_first_moment(people):
    nobody = people()
    assert "data-theme" not in nobody.get("/").text
    assert 'data-theme="dark"' in nobody.get("/", headers={"cookie": "lightphon_theme=dark"}).text
    assert "data-theme" not in nobody.get("/", headers={"cookie": 'lightphon_theme="><b>'}).text


def test_the_first_page_says_what_is_done_already(people, running):
    somebody = people("beginner")
    assert "Done:" not in somebody.get("/").text
    with running.server.database.transaction() as connection:
        carry_out(connection, [adjustment.credit(get_account(connection, "beginner").id, 1_000, "to begin with")])
    assert checked(somebody.get("/")).text.count("Done:") == 1


def test_what_goes_wrong_on_a_page_is_a_page(people):
    somebody, administrator = people("unlucky"), people("unlucky-administrator", admin=True)
    refused = checked(somebody.get("/admin"))
    assert (refused.status_code, "Log out unlucky" in refused.text) == (403, True)
    for id_ in ("acc_" + "x" * 16, "acc_nothing"):
        path = f"/admin/accounts/{id_}"
        answer = checked(administrator.get(path))
        error = administrator.get(path, headers={"accept": "*/*"})
        assert answer.status_code == error.status_code in (400, 404)
        assert html.escape(error.json()["error"]["message"], quote=False) in answer.text
        assert "Log out unlucky-administrator" in answer.text


def test_a_form_that_is_sent_before_its_script_is_there_is_told_so(people):
    sent = people().post("/login", data={"name": "early", "password": "correct horse battery"})
    assert "Go back, and send it again" in checked(sent).text
    assert (sent.status_code, "correct horse" in sent.text) == (405, False)
    by_a_program = people().post("/login", headers={"accept": "*/*"})
    assert by_a_program.json()["error"]["code"] == "unknown_url"


def test_behind_a_proxy_with_tls(start_server):
    ours = {"host": "your.host", "accept": BROWSERS, "origin": "https://your.host"}
    running = start_server(
        server=ServerSettings(public_url="https://your.host"), accounts=AccountSettings(registration="open")
    )
    with httpx.Client(base_url=running.url, headers=ours) as browser:
        page = checked(browser.get("/"))
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        assert "https://your.host/v1" in page.text
        made = browser.post("/api/account/register", json={"name": "alice", "password": "correct horse battery"})
        cookie, _ = made.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-lightphon_session=")
        assert {"HttpOnly", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
        assert "Hello, alice" in browser.get("/", headers={"cookie": cookie.partition(";")[0]}).text
