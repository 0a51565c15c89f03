"""Every table, in one place, since transactions cross domains.

Times are whole microseconds since 1970, UTC. Ids are text, made by `accounts`: "acc_..." and "cred_...". A change here
needs a migration in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, MetaData, Table, Text

CREDENTIAL_KINDS = ("api_key", "agent_token", "node_token")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
)

# API keys, agent tokens and node tokens. `secret_hash` is SHA-256 in hex, `hint` the secret's last four characters.
credentials = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", Text, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    CheckConstraint(f"kind IN ({', '.join(map(repr, CREDENTIAL_KINDS))})", name="kind"),
)


def microseconds(seconds: float) -> int:
    """A clock's seconds since 1970 as the tables hold them."""
    return round(seconds * 1_000_000)
