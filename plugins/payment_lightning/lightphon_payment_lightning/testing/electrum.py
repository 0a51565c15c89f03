"""Electrum as a node of a Lightning network."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from typing import Any

from attrs import define, field, frozen

from lightphon_core.testing.process import free_port
from lightphon_payment_lightning.testing.chain import Chain
from lightphon_payment_lightning.testing.programs import PASSWORD, USER, Programs, Rpc, eventually


@frozen
class HoldInvoice:
    """An invoice whose payee decides after the payment has come: until then it is under way."""

    text: str
    payment_hash: str
    preimage: str = field(repr=False)


@define
class ElectrumNode:
    """An Electrum daemon with one Lightning wallet, which may be stopped and started."""

    name: str
    programs: Programs
    port: int = field(factory=free_port)
    lightning_port: int = field(factory=free_port)
    popen: subprocess.Popen[bytes] | None = None
    rpc: Rpc = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rpc = Rpc(self.port)

    def prepare(self, chain: Chain) -> None:
        home = self.programs.folder / self.name / "regtest"
        home.mkdir(parents=True)
        settings = {
            "config_version": 3,
            "server": f"127.0.0.1:{chain.electrumx_port}:t",
            "oneserver": True,
            "auto_connect": False,
            "check_updates": False,
            "use_gossip": True,
            "rpchost": "127.0.0.1",
            "rpcport": self.port,
            "rpcuser": USER,
            "rpcpassword": PASSWORD,
            "lightning_listen": f"127.0.0.1:{self.lightning_port}",
            "lightning_forward_payments": self.name == "hub",
        }
        (home / "config").write_text(json.dumps(settings))

    def start(self) -> None:
        """Start the daemon; it takes up its connections by itself."""
        kit, home = self.programs.kit, self.programs.folder / self.name
        self.popen = self.programs.start(self.name, [kit / "electrum", "--regtest", "-D", home, "daemon"])
        eventually(lambda: self.call("getinfo")["connected"], f"{self.name} is connected")
        if not (home / "regtest" / "wallets" / "default_wallet").exists():
            self.call("create")
        self.call("load_wallet")

    def stop(self) -> None:
        assert self.popen is not None
        self.popen.terminate()
        self.popen.wait(30)

    def call(self, method: str, **params: Any) -> Any:
        return self.rpc.call(method, **params)

    def invoice(self, sats: int, expires_in_s: int = 3600) -> str:
        made = self.call(
            "add_request", amount=f"{sats / 100_000_000:.8f}", memo="", expiry=expires_in_s, lightning=True
        )
        invoice: str = made["lightning_invoice"]
        return invoice

    def hold_invoice(self, sats: int) -> HoldInvoice:
        preimage = os.urandom(32)
        payment_hash = hashlib.sha256(preimage).hexdigest()
        made = self.call("add_hold_invoice", payment_hash=payment_hash, amount=f"{sats / 100_000_000:.8f}")
        return HoldInvoice(made["invoice"], payment_hash, preimage.hex())

    def holds(self, invoice: HoldInvoice) -> bool:
        """Whether its money has come, and is neither taken nor refused."""
        status: str = self.call("check_hold_invoice", payment_hash=invoice.payment_hash)["status"]
        return status == "paid"

    def settle(self, invoice: HoldInvoice) -> None:
        self.call("settle_hold_invoice", preimage=invoice.preimage)

    def cancel(self, invoice: HoldInvoice) -> None:
        self.call("cancel_hold_invoice", payment_hash=invoice.payment_hash)

    def pay(self, invoice: str) -> bool:
        paid: bool = self.call("lnpay", invoice=invoice)["success"]
        return paid

    def has(self) -> int:
        """Millisatoshi that all its payments together have brought, fees included: below 0 where more has left."""
        return sum(each["amount_msat"] for each in self.call("lightning_history") if each["type"] == "payment")

    def channels_hold(self) -> int:
        """Satoshi of its own in all its channels, rounded down by each."""
        return sum(each["local_balance"] for each in self.call("list_channels"))

    def has_coins(self) -> bool:
        """Whether there are confirmed coins of its own on the chain."""
        return float(self.call("getbalance").get("confirmed", 0)) > 0

    def is_open(self) -> bool:
        """Whether all its channels can be used."""
        channels = self.call("list_channels")
        return bool(channels) and all((each["state"], each["peer_state"]) == ("OPEN", "GOOD") for each in channels)
