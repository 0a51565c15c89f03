"""The secrets of credentials: how they look, how they are made, and what is kept of them. Pure but for randomness.

A secret is a prefix that tells its kind, 36 random letters and digits (214 bits; 190 remain for whoever knows the hint)
and six that are a checksum, which tells a typo from a revoked key without asking the database. Letters and digits
alone are safe in headers, paths, shells and double clicks.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from enum import StrEnum

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
BODY_LENGTH = 36
CHECKSUM_LENGTH = 6
HINT_LENGTH = 4


class Kind(StrEnum):
    """What a credential is; its value is what the database holds."""

    API_KEY = "api_key"
    AGENT_TOKEN = "agent_token"  # noqa: S105 - a kind, no secret
    NODE_TOKEN = "node_token"  # noqa: S105

    @property
    def prefix(self) -> str:
        return {Kind.API_KEY: "lp_", Kind.AGENT_TOKEN: "at_", Kind.NODE_TOKEN: "np_"}[self]

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return {Kind.API_KEY: "API key", Kind.AGENT_TOKEN: "agent token", Kind.NODE_TOKEN: "node token"}[self]

    @property
    def one(self) -> str:
        """The same with its article."""
        return f"{'a' if self is Kind.NODE_TOKEN else 'an'} {self.words}"


def new_secret(kind: Kind) -> str:
    """A new secret, from the operating system's random numbers."""
    body = kind.prefix + random_text(BODY_LENGTH)
    return body + _checksum(body)


def random_text(length: int) -> str:
    """Random letters and digits, 5.95 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def is_well_formed(kind: Kind, secret: str) -> bool:
    """Whether `secret` could be of this kind: its length and checksum are right. Says nothing about its being valid."""
    body, checksum = secret[:-CHECKSUM_LENGTH], secret[-CHECKSUM_LENGTH:]
    return (
        secret.isascii()
        and body.startswith(kind.prefix)
        and len(body) == len(kind.prefix) + BODY_LENGTH
        and checksum == _checksum(body)
    )


def hash_secret(secret: str) -> str:
    """What the database keeps: SHA-256, in hex.

    A slow, salted hash defends passwords, which can be guessed. 190 random bits cannot, however fast the hash; and a
    request must not pay for one.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def hint(secret: str) -> str:
    """The end of a secret, by which its owner can tell it from others."""
    return secret[-HINT_LENGTH:]


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
