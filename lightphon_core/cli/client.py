"""Commands that ask a running server, here or elsewhere, with a key."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import click
import httpx

from lightphon_core.cli.group import Failure

TIMEOUT_S = 120.0
"""A payment may take its time."""
POLL_S = 1.0

Command = Callable[..., Any]


class Client:
    """A server at `url`, asked with the API key `key`. Close it, or use it as a context manager."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            headers={"authorization": f"Bearer {key}"}, timeout=httpx.Timeout(TIMEOUT_S, connect=10.0)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer. Raises `Failure` with what the server said, or why it said nothing."""
        try:
            answer = self._http.request(method, self._url + path, json=body, headers=headers)
        except httpx.InvalidURL as error:
            raise Failure(f"{self._url!r} is no URL: {error}.") from None
        except httpx.TimeoutException:
            raise Failure(f"{self._url} did not answer in time. What was asked for may have been done.") from None
        except httpx.HTTPError as error:
            said = str(error).rstrip(".") or type(error).__name__
            raise Failure(
                f"{self._url} cannot be asked: {said}. Is the server running there? --server names another one."
            ) from None
        try:
            content = answer.json()
            if answer.is_success:
                return content
            message = str(content["error"]["message"])
        except (ValueError, LookupError, TypeError):
            raise Failure(
                f"{self._url}{path} answered with status {answer.status_code}, and no LightPhon's answer."
            ) from None
        raise Failure(message)

    def until(self, path: str, ended: Callable[[Any], bool]) -> Any:
        """The JSON of `path` once it has `ended`; asked for each second meanwhile. Raises `Failure` as `ask`."""
        while not ended(found := self.ask("GET", path)):
            time.sleep(POLL_S)  # the server is elsewhere, and answers what it is asked; Ctrl-C ends the wait
        return found


def client_options(command: Command) -> Command:
    """Adds `--server`, takes the key from the environment, and passes a `Client` as `client`."""

    @click.option(
        "--server",
        default="http://127.0.0.1:8000",
        envvar="LIGHTPHON_URL",
        show_default=True,
        show_envvar=True,
        help="The server to ask.",
    )
    @click.option(
        "--key",
        envvar="LIGHTPHON_API_KEY",
        help="An API key. Better in LIGHTPHON_API_KEY: what stands in a command line, others can see.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, server: str, key: str | None, **options: Any) -> Any:
        if not key:
            raise Failure("An API key is needed: set LIGHTPHON_API_KEY. `lightphon key create` makes one.")
        with Client(server, key) as client:
            return command(*args, client=client, **options)

    return wrapped
