"""The playground, with real nodes: one model that says something, one that never stops, one that thinks, and one whose
words are an attack on whoever reads them."""

import re

import pytest
from lightphon_backend_gguf.testing import scripted
from playwright.sync_api import expect

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import AccountSettings

from .conftest import House, copied, listen

pytestmark = pytest.mark.browser

ELSEWHERE = "https://tracker.test"
HOSTILE = scripted.Script(
    (
        "# Hello\n\n",
        "<script>window.owned = 1</script>\n\n",
        f'<img src="{ELSEWHERE}/pixel.png" onerror="window.owned = 2">\n\n',
        f"![a picture]({ELSEWHERE}/picture.png) and [a way](javascript:window.owned=3)\n\n",
        f'<link rel="stylesheet" href="{ELSEWHERE}/style.css"><style>body {{ display: none }}</style>\n\n',
        f'<div style="position: fixed; inset: 0; background: url({ELSEWHERE}/b.png)" id="question">over all</div>\n\n',
        f'<iframe src="{ELSEWHERE}/frame"></iframe><base href="{ELSEWHERE}/">',
        f'<meta http-equiv="refresh" content="0; url={ELSEWHERE}/away">\n\n',
        f'<form action="{ELSEWHERE}/form"><button name="x">Log in again</button></form>\n\n',
        '<svg onload="window.owned = 4"><animate onbegin="window.owned = 5" attributeName="x"/></svg>\n\n',
        '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=owned=6&gt;">\n\n',
        f"[outside]({ELSEWHERE}/page) [inside](/admin) [beside](//tracker.test/) [data](data:text/html,<b>x</b>)\n\n",
        f"[defined]\n\n[defined]: {ELSEWHERE}/defined\n\n",
        "- [x] done\n\n| head |\n|---|\n| cell |\n\n",
        "```html\n<b>code</b>\n```\n\n",
        "**The end.**",
    )
)
ALLOWED = {
    *("a", "div", "p", "br", "strong", "em", "ul", "ol", "li", "h4", "h5", "h6"),
    *("pre", "code", "table", "thead", "tbody", "tr", "th", "td"),
    *("button", "svg", "path", "span"),  # of the button that copies
}
WATCH = """
window.seen = new Set();
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) {
      if (!(node instanceof Element) || !node.closest("[data-slot=text]")) continue;
      for (const each of [node, ...node.querySelectorAll("*")]) {
        window.seen.add(each.localName);
        for (const { name } of each.attributes) window.seen.add(`${each.localName}@${name}`);
      }
    }
  }
}).observe(document, { childList: true, subtree: true });
"""


@pytest.fixture(scope="module")
def house(run_system, tmp_path_factory):
    """A gateway of our own: `cellar` serves what is kind, and asks a sat for each answer."""
    with run_system(
        lightning={"wallet": "demo"}, accounts=AccountSettings(registration="open"), limits={"max_output_tokens": 10**5}
    ) as system:
        house = House(system)
        hostile = HOSTILE.write(tmp_path_factory.mktemp("hostile") / "hostile.gguf")
        system.start_node("greeting", "endless", "reasoning", hostile, name="cellar", price="request=1", context=2**15)
        yield house


@pytest.fixture
def chat(visit, house):
    """`chat(model, sats=10)`: a visitor with so much to spend, who has picked that model in the playground."""

    def come(model, sats=10, **looks):
        name = house.person()
        if sats:
            with house.system.running.server.database.transaction() as connection:
                account = get_account(connection, name)
                carry_out(connection, [adjustment.credit(account.id, sats * 1_000, "to spend")])
        visitor = visit(logged_in=name, **looks)
        page = visitor.page
        page.add_init_script(WATCH)
        visitor.opens("/playground")
        page.get_by_label("Model", exact=True).select_option(model)
        return visitor, page

    return come


def say(page, text):
    """As soon as the answer before has ended: until then there is a button to stop it instead."""
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")


def answers(page):
    return page.locator("#messages > li.talk-answer")


def refused(visitor, status):
    """The browser itself writes to the console that a request was refused."""
    visitor.problems[:] = [each for each in visitor.problems if f"status of {status}" not in each]


def test_an_answer_says_who_gave_it_how_fast_and_for_how_much(chat, house):
    visitor, page = chat("greeting")
    expect(page.locator("#facts-in-words")).to_have_text(
        re.compile(r"1 sat per request · .* tokens of context · 1 node")
    )
    say(page, "Hi")
    answer = answers(page)
    expect(answer.locator("[data-slot=text]")).to_have_text(scripted.GREETING.text)
    served = answer.get_by_role("list", name="Who answered").get_by_role("listitem")
    expect(served).to_have_text(
        ["greeting on cellar", re.compile(r"8 tokens \(prompt: \d+\)"), re.compile(r"[\d.,]+ tokens/s"),
         re.compile(r"first token after [\d.,]+ m?s"), "1 sat"]
    )  # fmt: skip
    expect(page.locator("#announced")).to_have_text(f"Answer: {scripted.GREETING.text}")
    expect(answer).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#balance")).to_have_text("9")
    answer.get_by_role("button", name="Copy").click()
    assert copied(page, scripted.GREETING.text) == scripted.GREETING.text
    visitor.check_accessible()

    # It is there again after a reload, and for nobody else who uses this browser.
    page.reload()
    expect(answers(page).locator("[data-slot=text]")).to_have_text(scripted.GREETING.text)
    expect(page.locator("#messages > li")).to_have_count(2)
    other = house.person()
    page.get_by_role("button", name=re.compile("Log out")).click()
    page.wait_for_url(house.url + "/")
    visitor.logs_in(other)
    visitor.opens("/playground")
    expect(page.locator("#no-conversations")).to_be_visible()


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
def test_hostile_words_neither_run_nor_fetch_nor_dress_up(chat, dark, phone):
    visitor, page = chat("hostile", sats=1_234_567, dark=dark, phone=phone)
    say(page, "Hi")
    answer = answers(page)
    expect(answer.locator("[data-slot=served] li").first).to_be_visible()
    said = answer.locator("[data-slot=text]")
    expect(said.get_by_role("heading", level=4)).to_have_text("Hello")
    expect(said.locator("strong")).to_have_text("The end.")
    for text in ("<script>window.owned = 1</script>", "[a picture: https://tracker.test/picture.png]", "over all"):
        expect(said).to_contain_text(text)

    # Nothing else was there at any moment, from the first word on.
    seen = set(page.evaluate("[...window.seen]"))
    elements = {each for each in seen if "@" not in each}
    assert "strong" in elements
    assert elements <= ALLOWED
    attributes = {each for each in seen if "@" in each and not each.startswith(("svg@", "path@", "button@", "span@"))}
    assert attributes <= {
        "a@href", "a@target", "a@rel", "pre@tabindex", "th@scope",
        "div@class", "div@tabindex", "div@role", "div@aria-label",
    }  # fmt: skip
    assert page.evaluate("window.owned") is None
    links = {link.inner_text(): link for link in said.locator("a").all()}
    assert {name for name, link in links.items() if link.get_attribute("href")} == {"outside", "defined"}
    for link in links.values():
        assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
    assert said.locator("[class]:not(.copyable, .table, .button, .icon)").count() == 0
    said.locator(".copyable button").click()
    assert copied(page, "<b>code</b>") == "<b>code</b>\n"
    page.evaluate("window.owned")
    visitor.check_accessible()


@pytest.mark.parametrize("by", ["Escape", "the button"])
def test_stopping_frees_the_node(chat, house, until, by):
    _, page = chat("endless")
    say(page, "Go on for ever")
    answer = answers(page)
    expect(answer.locator("[data-slot=text]")).to_contain_text("word05 word06")
    expect(answer).to_have_attribute("aria-busy", "true")
    expect(page.locator("#announced")).to_be_empty()
    assert house.system.busy()
    if by == "Escape":
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Stop").click()
    until(lambda: not house.system.busy())
    expect(answer.locator("[data-slot=note]")).to_contain_text("You stopped this answer")
    expect(answer).not_to_have_attribute("aria-busy", "true")
    expect(page.get_by_label("Message")).to_be_focused()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.locator("#balance")).to_have_text("9")
    page.reload()
    expect(answers(page).locator("[data-slot=text]")).to_contain_text("word05 word06")


def test_who_has_nothing_is_sent_to_the_wallet(chat):
    visitor, page = chat("greeting", sats=0)
    expect(page.locator("#purse")).to_contain_text("Your wallet is empty")
    say(page, "Hi")
    note = answers(page).locator("[data-slot=note]")
    expect(note).to_contain_text("short")
    expect(note.get_by_role("link", name="Go to the wallet")).to_have_attribute("href", "/wallet")
    expect(note.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator("#announced")).to_contain_text("short")
    visitor.check_accessible()
    refused(visitor, 402)


def test_who_was_logged_out_elsewhere_may_log_in_again_and_loses_nothing(chat):
    visitor, page = chat("greeting")
    page.context.clear_cookies()
    say(page, "Hi")
    link = answers(page).get_by_role("link", name="Log in again")
    expect(link).to_have_attribute("href", re.compile(r"/login\?next=%2Fplayground"))
    refused(visitor, 401)


def test_settings_a_change_of_mind_another_try_and_the_list(chat):
    _, page = chat("greeting")
    sent = listen(page)
    say(page, "First")
    expect(answers(page).locator("[data-slot=served] li").first).to_be_visible()
    first = sent()
    session = first[0].pop("session_id")
    assert first == [{"model": "greeting", "messages": [{"role": "user", "content": "First"}], "stream": True}]

    page.get_by_label("System prompt").fill("Be kind.")
    page.get_by_label(re.compile("^Temperature")).fill("0")
    page.get_by_label(re.compile("^Longest answer")).fill("3")
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Message")).to_have_value("First")
    say(page, "Second")
    expect(answers(page)).to_have_count(1)
    expect(answers(page).locator("[data-slot=note]")).to_contain_text("cut off")
    second = sent()[1]
    assert second.pop("session_id") == session
    assert second == {
        "model": "greeting",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Second"}],
        "stream": True,
        "temperature": 0,
        "max_tokens": 3,
    }

    page.get_by_label(re.compile("^Longest answer")).fill("")
    page.get_by_role("button", name="Regenerate").click()
    expect(answers(page).locator("[data-slot=text]")).to_have_text(scripted.GREETING.text)
    expect(page.locator("#messages > li")).to_have_count(2)
    say(page, "Third")
    expect(answers(page)).to_have_count(2)
    expect(answers(page).last.locator("[data-slot=served] li").first).to_be_visible()
    said = [each["content"] for each in sent()[3]["messages"]]
    assert said == ["Be kind.", "Second", scripted.GREETING.text, "Third"]

    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#messages > li")).to_have_count(0)
    page.get_by_label("Message").fill("A new one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("of two lines")
    page.keyboard.press("Enter")
    expect(answers(page).locator("[data-slot=served] li").first).to_be_visible()
    assert sent()[4]["messages"][-1]["content"] == "A new one\nof two lines"
    titles = page.locator("#conversations .talk-open")
    expect(titles).to_have_text(["A new one of two lines", "Second"])
    titles.last.click()
    expect(page.locator("#messages > li")).to_have_count(4)
    sure = page.get_by_role("dialog")
    page.get_by_role("button", name="Delete “A new one of two lines”").click()
    sure.get_by_role("button", name="Cancel").click()
    expect(titles).to_have_count(2)
    page.get_by_role("button", name="Delete all").click()
    sure.get_by_role("button", name="Delete").click()
    expect(titles).to_have_count(0)
    expect(page.locator("#messages > li")).to_have_count(0)
    assert page.evaluate("Object.keys(localStorage)") == []


def test_a_conversation_that_is_deleted_while_it_is_answered_stays_so(chat, house, until):
    _, page = chat("endless")
    say(page, "Go on for ever")
    expect(answers(page).locator("[data-slot=text]")).to_contain_text("word05")
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    until(lambda: not house.system.busy())
    expect(page.locator("#no-conversations")).to_be_visible()
    page.reload()
    expect(page.locator("#no-conversations")).to_be_visible()


def test_thoughts_are_shown_apart(chat):
    _, page = chat("reasoning")
    say(page, "Two and two?")
    expect(answers(page).locator("[data-slot=text]")).to_have_text("It is 4.")
    thinking = answers(page).get_by_text("Two and two make four.")
    expect(thinking).to_be_hidden()
    answers(page).get_by_text("Thinking").click()
    expect(thinking).to_be_visible()


def test_plain_text_where_there_is_nothing_to_render_markdown_with(chat, house):
    visitor, page = chat("hostile")

    def without(route):
        got = route.fetch()
        route.fulfill(response=got, body=got.text().replace(" data-markdown", ""))

    page.route(re.compile(r"/playground$"), without)
    page.route(re.compile("/vendor/"), lambda route: route.abort())
    visitor.opens("/playground")
    page.get_by_label("Model", exact=True).select_option("hostile")
    say(page, "Hi")
    expect(answers(page).locator("[data-slot=served] li").first).to_be_visible()
    said = answers(page).locator("[data-slot=text]")
    expect(said).to_contain_text("# Hello <script>window.owned = 1</script>")
    assert said.locator("*").count() == 0
    assert page.evaluate("window.owned") is None
