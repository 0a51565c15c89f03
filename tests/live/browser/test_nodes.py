"""A node from its command to its end: it appears, is priced, and disappears, on a page that nobody reloads."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import PATIENCE_MS, copied

pytestmark = pytest.mark.browser


@pytest.fixture
def run(house):
    """`run(command, *arguments)`: the last line of what the page says to paste, with the node installed here."""
    started = []

    def start(command, *arguments):
        *assignments, _program, verb, option, server, model = shlex.split(command.splitlines()[-1])
        environ = dict(each.split("=", 1) for each in assignments)
        assert (verb, option, server) == ("run", "--server", house.url)
        assert set(environ) == {"LIGHTPHON_NODE_TOKEN"}
        program = Path(sys.executable).with_name("lightphon-node")
        with (house.system.folder / f"pasted-{len(started)}.log").open("wb") as output:
            node = subprocess.Popen(
                [program, verb, option, server, model, "--threads", "1", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environ},
            )
        started.append(node)
        return node

    yield start
    for node in started:
        node.kill()
        node.wait()


def test_a_node_appears_is_priced_and_disappears(visit, house, run):
    visitor = visit(logged_in=house.person())
    page = visitor.opens("/nodes")
    expect(page.get_by_text("You have none yet")).to_be_visible()
    page.get_by_label("Name of the token").fill("attic")
    page.get_by_label("What it serves").fill(str(house.system.models / "greeting.gguf"))
    page.get_by_role("button", name="Add a node").click()

    shown = page.locator("[data-command-shown]")
    expect(shown.locator("code")).to_contain_text("lightphon-node run")
    command = shown.locator("code").text_content()
    shown.get_by_role("button", name="Copy").click()
    expect(shown.get_by_role("button", name="Copied")).to_be_visible()
    assert copied(page, command) == command
    lines = command.splitlines()
    assert [line.endswith("&&") for line in lines] == [True, True, False]
    assert re.search(r"pip install 'lightphon-backend-gguf\[node\] @ .*#sha256=[0-9a-f]{64}' &&", lines[1])
    status = shown.get_by_role("status")
    expect(status).to_contain_text("Waiting")
    visitor.check_accessible()

    # What is being done here takes longer than a refresh: the offline token is there before the node is.
    expect(page.locator("#nodes").get_by_text("offline")).to_be_visible(timeout=PATIENCE_MS)
    node = run(command, "--node-name", "attic box", "--name", "attic-model")
    expect(status).to_have_text("attic box is connected, and takes requests.", timeout=PATIENCE_MS)
    card = page.locator(".node", has_text="attic box")
    expect(card.get_by_text("online", exact=True)).to_be_visible()
    expect(card.get_by_text("0 of 2 slots busy")).to_be_visible()
    shown.get_by_role("button", name="Done").click()
    expect(shown).to_be_hidden()

    card.get_by_role("button", name="Price of attic-model").click()
    dialog = page.get_by_role("dialog", name="Price")
    dialog.get_by_label("A request").fill("1.5")
    visitor.check_accessible()
    dialog.get_by_role("button", name="Ask this price").click()
    expect(card.get_by_text("1.5 sats per request")).to_be_visible()
    expect(card.get_by_text("set by you, here")).to_be_visible()
    card.get_by_role("button", name="Price of attic-model").click()
    expect(dialog.get_by_label("A request")).to_have_value("1.5")
    dialog.get_by_role("button", name="Remove my price").click()
    expect(card.get_by_text("set by you, here")).to_be_hidden()

    tokens = page.locator("#tokens")
    expect(tokens.get_by_role("cell", name="attic box")).to_be_visible()
    tokens.get_by_role("button", name="Revoke attic").click()
    asked = page.get_by_role("dialog", name="Revoke this token?")
    visitor.check_accessible()
    asked.get_by_role("button", name="Revoke").click()
    expect(tokens.get_by_text("There is none.")).to_be_visible()
    expect(card).to_be_hidden(timeout=PATIENCE_MS)
    expect(page.get_by_text("attic box is no longer connected.")).to_be_visible()
    assert node.wait(20) == 2


def test_download_has_the_commands_and_this_servers_own_address(visit, house):
    page = visit(phone=True).opens("/download")
    expect(page.get_by_role("heading", level=1)).to_have_text("Run a node")
    page.get_by_role("button", name="Copy").nth(1).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied(page, f"@ {house.url}/download/lightphon_backend_gguf-")


def test_status_follows_what_is_online(visit, house):
    page = visit().opens("/status")
    now = page.locator("#now .figure").first
    before = now.text_content()
    node = house.system.start_node(("greeting", "passing"), name="passing")
    expect(now).not_to_have_text(before, timeout=PATIENCE_MS)
    expect(page.get_by_text("passing")).to_have_count(0)
    node.terminate()
    assert node.end() == 0
    expect(now).to_have_text(before, timeout=PATIENCE_MS)
