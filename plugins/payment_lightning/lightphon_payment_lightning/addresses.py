"""Lightning addresses and LNURL-pay: names into URLs, and what their servers answer. Pure (LUD-01, LUD-06, LUD-16)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve, frozen
from bech32 import bech32_decode, convertbits

from lightphon_core import LightPhonError

MAX_URL = 2_000
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)
_ADDRESS = re.compile(r"(?P<name>[a-z0-9._+-]{1,64})@(?P<host>[a-z0-9.-]{1,253})(:(?P<port>[0-9]{1,5}))?", re.ASCII)


class AddressError(LightPhonError):
    """What is no address, or leads to nobody who can be paid. `message` names its host and no IP address."""


@frozen
class Target:
    """Where a request goes: always over https. `path` is with the query."""

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


@frozen
class PayOffer:
    """What an address takes, in msat. An invoice of it bears `description_hash`."""

    host: str
    callback: Target
    least: int
    most: int
    description_hash: str


def url_of(text: str) -> Target:
    """Where a Lightning address (`name@host`) or an LNURL (`lnurl1...`) is asked. Raises `AddressError`."""
    lower = text.lower()
    if lower.startswith("lnurl1"):
        return target_of(_url_in(text))
    found = _ADDRESS.fullmatch(lower)
    if found is None:
        raise AddressError("This is not a Lightning address: one looks like name@example.com.")
    port = f":{found['port']}" if found["port"] else ""
    return target_of(f"https://{found['host']}{port}/.well-known/lnurlp/{found['name']}")


def target_of(url: str) -> Target:
    """What is behind a URL that a stranger gave. Raises `AddressError` for all but https to a named host."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        raise AddressError("The Lightning address leads to something that is no URL.") from None
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise AddressError("The Lightning address leads to something that is no URL.")
    if parts.scheme != "https" or parts.username is not None or parts.password is not None:
        raise AddressError("The Lightning address leads to a URL that does not begin with https://.")
    labels = host.split(".")
    # The last label of a name is never a number, so no notation of an IPv4 address passes.
    if not _HOST.fullmatch(host) or len(host) > 253 or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        raise AddressError("The Lightning address leads to something that is no name of a host.")
    if labels[-1] == "onion":
        raise AddressError("Lightning addresses of .onion hosts are not paid.")
    return Target(host, 443 if port is None else port, urlunsplit(("", "", parts.path or "/", parts.query, "")))


def offer_of(answer: Mapping[str, Any], target: Target) -> PayOffer:
    """What the first request is answered. Raises `AddressError`."""
    _refuse_errors(answer, target)
    least, most = answer.get("minSendable"), answer.get("maxSendable")
    callback, metadata = answer.get("callback"), answer.get("metadata")
    if answer.get("tag") != "payRequest" or not isinstance(callback, str) or not isinstance(metadata, str):
        raise AddressError(f"{target.host} does not answer as the server of a Lightning address.")
    if type(least) is not int or type(most) is not int or not 0 < least <= most:
        raise AddressError(f"{target.host} does not say how much may be sent.")
    digest = hashlib.sha256(metadata.encode(errors="surrogatepass")).hexdigest()
    return PayOffer(target.host, target_of(callback), least, most, digest)


def pay_target(offer: PayOffer, amount: int) -> Target:
    """Where an invoice over `amount` msat is asked for. Raises `AddressError` where the address does not take it."""
    if not offer.least <= amount <= offer.most:
        raise AddressError(
            f"{offer.host} takes from {offer.least} to {offer.most} msat for this Lightning address, not {amount}."
        )
    joint = "&" if "?" in offer.callback.path else "?"
    return evolve(offer.callback, path=f"{offer.callback.path}{joint}amount={amount}")


def invoice_text_of(answer: Mapping[str, Any], target: Target) -> str:
    """The invoice that the second request is answered. Raises `AddressError`."""
    _refuse_errors(answer, target)
    text = answer.get("pr")
    if not isinstance(text, str):
        raise AddressError(f"{target.host} gave no invoice for this Lightning address.")
    return text


def _refuse_errors(answer: Mapping[str, Any], target: Target) -> None:
    if str(answer.get("status", "")).upper() == "ERROR":
        raise AddressError(f"{target.host} refuses to be paid for this Lightning address.")


def _url_in(text: str) -> str:
    hrp, words = bech32_decode(text)
    data = None if words is None else convertbits(words, 5, 8, pad=False)
    if hrp != "lnurl" or data is None:
        raise AddressError("This LNURL is misspelt.")
    return bytes(data).decode("utf-8", "replace")
