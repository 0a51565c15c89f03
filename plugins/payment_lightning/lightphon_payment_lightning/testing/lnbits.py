"""A real LNbits, whose node is its own FakeWallet: it pays what comes from the same LNbits, and nothing else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import field, frozen

from lightphon_core.testing.process import free_port, until

STARTS_WITHIN_S = 90.0
_PASSWORD = "nobody else knows this"  # noqa: S105 - of an LNbits that lives as long as a test


@frozen
class LnbitsAccount:
    """A wallet of an LNbits, and the keys that open it."""

    id: str
    invoice_key: str = field(repr=False)
    admin_key: str = field(repr=False)


class RunningLnbits:
    """One LNbits, with an administrator who hands out money."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        made = self._ask(
            "PUT",
            "/api/v1/auth/first_install",
            {"username": "admin", "password": _PASSWORD, "password_repeat": _PASSWORD},
        )
        self._token: str = made["access_token"]

    def wallet(self, name: str, sats: int = 0) -> LnbitsAccount:
        """A new one, with so much in it."""
        made = self._ask("POST", "/api/v1/wallet", {"name": name}, token=self._token)
        if sats:
            self._ask("PUT", "/users/api/v1/balance", {"id": made["id"], "amount": sats}, token=self._token)
        return LnbitsAccount(made["id"], made["inkey"], made["adminkey"])

    def has(self, wallet: LnbitsAccount) -> int:
        """Its balance in millisatoshi."""
        balance: int = self._ask("GET", "/api/v1/wallet", key=wallet.invoice_key)["balance"]
        return balance

    def invoice(self, wallet: LnbitsAccount, sats: int) -> str:
        """One over so much."""
        asked = {"out": False, "amount": sats, "unit": "sat", "memo": "test"}
        invoice: str = self._ask("POST", "/api/v1/payments", asked, key=wallet.invoice_key)["bolt11"]
        return invoice

    def pay(self, wallet: LnbitsAccount, invoice: str) -> bool:
        """Whether it could be paid."""
        answer = self._http.post(
            "/api/v1/payments", json={"out": True, "bolt11": invoice}, headers={"X-Api-Key": wallet.admin_key}
        )
        return answer.is_success and answer.json()["status"] == "success"

    def close(self) -> None:
        """Let go of its connections."""
        self._http.close()

    def _ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, token: str | None = None
    ) -> Any:
        headers = ({"X-Api-Key": key} if key else {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        answer = self._http.request(method, path, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def running_lnbits(environment: Path, folder: Path) -> Iterator[RunningLnbits]:
    """One that runs in `folder`, from the Python environment at `environment`. It calls nobody but the loopback."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (package,) = environment.glob("lib/python3.*/site-packages/lnbits")
    # It serves its own files from this path below the folder that it is started in.
    (folder / "lnbits").symlink_to(package)
    (folder / "data").mkdir()
    (folder / "extensions").mkdir()
    settings = {
        "LNBITS_DATA_FOLDER": str(folder / "data"),
        "LNBITS_EXTENSIONS_PATH": str(folder / "extensions"),
        "LNBITS_EXTENSIONS_MANIFESTS": "[]",
        "LNBITS_ADMIN_UI": "true",
        "LNBITS_BACKEND_WALLET_CLASS": "FakeWallet",
        "FAKE_WALLET_SECRET": "not secret",
        "AUTH_HTTPS_ONLY": "false",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LNBITS_BASEURL": f"{url}/",
        "LNBITS_CALLBACK_ALLOW_PRIVATE_IPS": "true",
        "LNBITS_CALLBACK_URL_RULES": r'["http://127\\.0\\.0\\.1:\\d+"]',
        "LNBITS_PRICE_AGGREGATOR_ENABLED": "false",
        "LNBITS_RATE_LIMIT_NO": "100000",
        "ENABLE_LOG_TO_FILE": "false",
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("LNBITS_", "PYTHON"))}
    # Its own program leaves a child behind when it is stopped.
    command: list[str | Path] = [
        environment / "bin/uvicorn",
        "lnbits.__main__:app",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (folder / "lnbits.log").open("wb") as log:
        popen = subprocess.Popen(  # noqa: S603 - of the environment
            command, stdout=log, stderr=log, cwd=folder, env={**environ, **settings}
        )
    try:
        until(lambda: _serves(url), "LNbits serves", STARTS_WITHIN_S)
        lnbits = RunningLnbits(url)
        try:
            yield lnbits
        finally:
            lnbits.close()
    finally:
        popen.terminate()
        try:
            popen.wait(20)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()


def _serves(url: str) -> bool:
    try:
        # Before there is an administrator it answers everything with a redirect.
        return not httpx.get(f"{url}/api/v1/health", trust_env=False).is_error
    except httpx.TransportError:
        return False
