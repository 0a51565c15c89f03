"""A daemon that is played, and wallets that ask it: what the tests of LND, Core Lightning and phoenixd share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen

from lightphon_core import Clock, Host, Secret
from lightphon_core.testing import host_for
from lightphon_payment_lightning.testing.cln import RUNE, ClnServer
from lightphon_payment_lightning.testing.lnd import MACAROON, LndServer
from lightphon_payment_lightning.testing.node import Node
from lightphon_payment_lightning.testing.phoenixd import PASSWORD, WEBHOOK_SECRET, PhoenixdServer
from lightphon_payment_lightning.wallets.cln import Cln, ClnSettings
from lightphon_payment_lightning.wallets.lnd import Lnd, LndSettings
from lightphon_payment_lightning.wallets.phoenixd import Phoenixd, PhoenixdSettings

KINDS = ("lnd", "cln", "phoenixd")


@frozen
class Rig:
    """`secret`: what opens the daemon."""

    server: LndServer | ClnServer | PhoenixdServer
    secret: str
    clock: Clock | None = None

    @property
    def node(self) -> Node:
        return self.server.node

    async def listened_to(self) -> None:
        """Somebody hears of what is paid from now on."""
        heard = self.server.waiting if isinstance(self.server, ClnServer) else self.server.subscribed
        await heard.wait()

    def settings(self) -> LndSettings | ClnSettings | PhoenixdSettings:
        match self.server:
            case LndServer():
                return LndSettings(self.server.url, Secret(self.secret))
            case ClnServer():
                return ClnSettings(self.server.url, Secret(self.secret))
            case PhoenixdServer():
                return PhoenixdSettings(self.server.url, Secret(self.secret), Secret(WEBHOOK_SECRET))

    def wallet(self) -> Lnd | Cln | Phoenixd:
        """A new wallet, impatient: it waits for no payment that is held."""
        settings = self.settings()
        host: Host[Any] = host_for(settings, plugin="lightning", clock=self.clock)
        wallet: Lnd | Cln | Phoenixd
        match settings:
            case LndSettings():
                wallet = Lnd(settings, host)
                wallet.poll_s = 0.01
            case ClnSettings():
                wallet = Cln(settings, host)
            case PhoenixdSettings():
                wallet = Phoenixd(settings, host)
        wallet.patience_s = 1.0
        return wallet


@asynccontextmanager
async def rig_of(kind: str, *, clock: Clock | None = None) -> AsyncGenerator[Rig, None]:
    """A rig of one of `KINDS`, whose server runs."""
    match kind:
        case "lnd":
            async with LndServer() as server:
                yield Rig(server, MACAROON, clock)
        case "cln":
            async with ClnServer() as server:
                yield Rig(server, RUNE, clock)
        case "phoenixd":
            async with PhoenixdServer() as server:
                yield Rig(server, PASSWORD, clock)
        case _:
            raise ValueError(f"{kind!r} is none of {KINDS}")
