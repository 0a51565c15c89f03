"""A real browser of Debian's, driven by Playwright, in front of a whole gateway: a real node, play money, and people.

`LIGHTPHON_TEST_BROWSER` says which: chromium, unless told, or firefox.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from argon2 import PasswordHasher
from attrs import define, field, frozen

from lightphon_core.accounts.people import create_account
from lightphon_core.settings import AccountSettings, RateSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]
"""Without Playwright there is nothing to run here; `.ci/browser-tests` brings it, and fails where it runs no test."""

PASSWORD = "correct horse battery"
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
PATIENCE_MS = 20_000
WORST = ("serious", "critical")
LOCAL = ("data", "blob", "about")
ENGINE = os.environ.get("LIGHTPHON_TEST_BROWSER", "chromium")


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source, which `.ci/browser-tests` brings from npm."""
    folder = Path(os.environ["LIGHTPHON_TEST_AXE"])
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="session")
def browsers() -> Iterator[Callable[[bool], Browser]]:
    """`browsers(dark)`: the browser in light or dark. Each visitor has a profile of their own in it."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    launch = {"chromium": _launch_chromium, "firefox": _launch_firefox}[ENGINE]
    running: dict[bool, Browser] = {}
    with sync_playwright() as playwright:

        def browser(dark: bool) -> Browser:
            if dark not in running:
                running[dark] = launch(playwright, dark)
            return running[dark]

        yield browser
        for each in running.values():
            each.close()


def _launch_chromium(playwright: Playwright, dark: bool) -> Browser:
    return playwright.chromium.launch(
        executable_path=os.environ.get("LIGHTPHON_TEST_CHROMIUM", "/usr/bin/chromium"),
        args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    )


def _launch_firefox(playwright: Playwright, dark: bool) -> Browser:
    """Firefox as its makers ship it, over WebDriver BiDi. What a context cannot tell it there are preferences."""
    return playwright.firefox.launch(
        channel="moz-firefox",
        executable_path=os.environ.get("LIGHTPHON_TEST_FIREFOX", "/usr/bin/firefox-esr"),
        firefox_user_prefs={
            "layout.css.prefers-color-scheme.content-override": 0 if dark else 1,
            "ui.prefersReducedMotion": 1,
            "dom.events.testing.asyncClipboard": True,
        },
    )


@define
class House:
    """The gateway. `system` has its nodes; `administrator` may log in with `PASSWORD`, as may everybody else here.
    `lived_in`: somebody has paid and asked."""

    system: Any
    administrator: str = "root"
    lived_in: bool = False
    _names: int = 0

    @property
    def url(self) -> str:
        return str(self.system.url)

    def new_name(self) -> str:
        """A name that nobody has yet."""
        self._names += 1
        return f"visitor{self._names}"

    def person(self) -> str:
        """The name of a new account."""
        name = self.new_name()
        self._create(name, admin=False)
        return name

    def _create(self, name: str, *, admin: bool) -> None:
        hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        with self.system.running.server.database.transaction() as connection:
            create_account(connection, name, now=time.time(), password_hash=hashed, admin=admin)

    def furnish(self) -> None:
        """The administrator, and a node with a model that asks a sat for each answer."""
        self._create(self.administrator, admin=True)
        self.system.start_node("greeting", name="cellar", price="request=1")


@pytest.fixture(scope="session")
def house(run_system: Any) -> Iterator[House]:
    """A gateway with one node, `cellar`, whose only model is `greeting`; registration is open, money is play money."""
    with run_system(
        lightning={"wallet": "demo"},
        accounts=AccountSettings(registration="open"),
        rates=RateSettings(fixed=5_000_000),
    ) as system:
        made = House(system)
        made.furnish()
        yield made


@frozen
class Visitor:
    """Somebody at a browser. What is wrong with a page that needs no looking for is collected in `problems`."""

    page: Page
    url: str
    problems: list[str] = field(factory=list)
    _axe: str = field(default="", repr=False)

    def opens(self, path: str) -> Page:
        """Go to a page of ours, and wait until its scripts have run."""
        self.page.goto(self.url + path)
        self.page.wait_for_load_state("load")
        return self.page

    def logs_in(self, name: str) -> None:
        """By the form."""
        self.opens("/login")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in", exact=True).click()
        self.page.wait_for_url(self.url + "/")

    def check_accessible(self) -> None:
        """axe-core finds nothing serious on the page as it is now, and it does not scroll sideways."""
        found = self.page.evaluate(f"async () => {{ {self._axe}; return (await axe.run(document)).violations }}")
        worst = [
            f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes']]}"
            for each in found
            if each["impact"] in WORST
        ]
        assert not worst, "\n".join(worst)
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.page.url} is {wide} px wider than the screen"


@pytest.fixture
def visit(browsers: Callable[[bool], Browser], house: House, axe: str) -> Iterator[Callable[..., Visitor]]:
    """`visit(dark=..., phone=...)`: a visitor, who has never been here. As the test ends no page may have had an error
    in its console, nor have asked another host for anything."""
    made: list[tuple[BrowserContext, Visitor]] = []

    @contextmanager
    def closing() -> Iterator[None]:
        try:
            yield
        finally:
            for context, _ in made:
                context.close()

    def visit(*, dark: bool = False, phone: bool = False, logged_in: str | None = None, **options: Any) -> Visitor:
        context = browsers(dark).new_context(
            viewport=PHONE if phone else WIDE,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(PATIENCE_MS)
        if ENGINE == "chromium":
            context.grant_permissions(["clipboard-read", "clipboard-write"], origin=house.url)
        visitor = Visitor(context.new_page(), house.url, axe=axe)
        watch(visitor)
        made.append((context, visitor))
        if logged_in is not None:
            visitor.logs_in(logged_in)
        return visitor

    with closing():
        yield visit
        problems = [problem for _, visitor in made for problem in visitor.problems]
        assert not problems, "\n".join(problems)


def watch(visitor: Visitor) -> None:
    """Note what goes wrong on the visitor's page."""
    own = urlsplit(visitor.url).netloc

    def asked(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in LOCAL and parts.netloc != own:
            visitor.problems.append(f"asked another host: {request.url}")

    page = visitor.page
    page.on("request", asked)
    page.on("pageerror", lambda error: visitor.problems.append(f"{page.url}: {error}"))
    page.on(
        "console", lambda said: visitor.problems.append(f"{page.url}: {said.text}") if said.type == "error" else None
    )


def copied(page: Page, part: str) -> str:
    """What was copied, once it has this in it: the browser writes it a moment after the click."""
    text = page.evaluate(
        """async ([part, ms]) => {
            for (const end = Date.now() + ms; ; await new Promise(requestAnimationFrame)) {
                const text = await navigator.clipboard.readText();
                if (text.includes(part) || Date.now() > end) return text;
            }
        }""",
        [part, PATIENCE_MS],
    )
    assert part in text
    return str(text)


def lose_an_answer(page: Page, path: str) -> None:
    """The next request of the page's scripts to a path that ends so is carried out, and its answer lost."""
    page.evaluate(
        """path => {
            const real = window.fetch;
            window.fetch = async (...asked) => {
                const answer = await real(...asked);
                if (!new URL(answer.url).pathname.endsWith(path)) return answer;
                window.fetch = real;
                throw new TypeError("lost on its way");
            };
        }""",
        path,
    )


def listen(page: Page) -> Callable[[], list[Any]]:
    """From now on, the bodies of what the page's scripts post: call it for those so far, read as JSON."""
    page.evaluate(
        """() => {
            const real = window.fetch;
            window.sent = [];
            window.fetch = (where, how) => {
                if (how?.method === "POST") window.sent.push(JSON.parse(how.body));
                return real(where, how);
            };
        }"""
    )
    return lambda: list(page.evaluate("window.sent"))
