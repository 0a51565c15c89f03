"""Every table, in one place, since transactions cross domains; those of payments are in `payment_tables.py`.

Times are whole microseconds since 1970, UTC. Ids are text, made by `accounts`: "acc_..." and "cred_...". A change here
needs a migration in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from lightphon_core.money import MAX_MSAT, MAX_PRICE_MSAT
from lightphon_core.storage import payment_tables as payment_tables  # so that whoever has `metadata` from here has all
from lightphon_core.storage.metadata import metadata as metadata

CREDENTIAL_KINDS = ("api_key", "agent_token", "node_token")
BUDGET_PERIODS = ("day", "month", "total")
PRICE_PARTS = ("per_minute", "per_mtok_prompt", "per_mtok_completion", "per_request")

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("password_hash", Text, nullable=True),
    Column("admin_since", BigInteger, nullable=True),
    Column("blocked_at", BigInteger, nullable=True),
)

# People who are logged in. Until `recent_until` the password counts as just given.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("recent_until", BigInteger, nullable=False),
)

# Each admits one person; a row is removed as it is used.
invites = Table(
    "invites",
    metadata,
    Column("id", Text, primary_key=True),
    Column("code_hash", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# What may happen only so often a minute, by a hash of what it is. It is paid back at an even rate; `until` is when all
# of it is, as it was at `written_at`.
rates = Table(
    "rates",
    metadata,
    Column("key", Text, primary_key=True),
    Column("until", BigInteger, nullable=False, index=True),
    Column("written_at", BigInteger, nullable=False),
)

# What may happen only so often at once: a row for each that is under way, by a hash of what limits it.
places = Table(
    "places",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text, primary_key=True, index=True),
    Column("lease_until", BigInteger, nullable=False, index=True),
)

# API keys, agent tokens and node tokens. `secret_hash` is SHA-256 in hex, `hint` the secret's last four characters.
# `scopes` are words with spaces between them, `models` the ids that may be used, as a JSON array; NULL is no limit.
# `filters` are `types.Filters` as a JSON object, prices in msat; NULL asks for nothing. `used_by` is a kind of gateway.
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
    Column("expires_at", BigInteger, nullable=True),
    Column("scopes", Text, nullable=False, server_default="inference"),
    Column("models", Text, nullable=True),
    Column("requests_per_minute", BigInteger, nullable=True),
    Column("tokens_per_minute", BigInteger, nullable=True),
    Column("concurrent_requests", BigInteger, nullable=True),
    Column("filters", Text, nullable=True),
    Column("used_by", Text, nullable=True),
    CheckConstraint(f"kind IN ({', '.join(map(repr, CREDENTIAL_KINDS))})", name="kind"),
)

# What a credential may spend in a period, in msat. `since` is when the period began whose `spent` this is; `held` is
# set aside for answers under way.
budgets = Table(
    "budgets",
    metadata,
    Column("credential_id", Text, ForeignKey("credentials.id", ondelete="CASCADE"), primary_key=True),
    Column("period", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    CheckConstraint(f"period IN ({', '.join(map(repr, BUDGET_PERIODS))})", name="period"),
    CheckConstraint("amount >= 0 AND spent >= 0 AND held >= 0", name="bounds"),
)

# The journal. Entries and postings are only ever added: triggers refuse to change or remove them.
entries = Table(
    "entries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    UniqueConstraint("external_id", "kind", "source", name="uq_entries_external_id"),
)

# `amount` msat leave `debit` and reach `credit`: each row sums to zero by its shape.
postings = Table(
    "postings",
    metadata,
    Column("entry_id", Text, ForeignKey("entries.id"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_postings_debit", "debit", "at"),
    Index("ix_postings_credit", "credit", "at"),
    CheckConstraint(f"amount > 0 AND amount <= {MAX_MSAT}", name="amount"),
    CheckConstraint("debit <> credit", name="two_accounts"),
)

# The sum of an account's postings, kept up to date; `held` of it is set aside by holds.
balances = Table(
    "balances",
    metadata,
    Column("account", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("may_be_negative", Boolean(create_constraint=False), nullable=False),
    CheckConstraint(f"amount <= {MAX_MSAT} AND amount >= -{MAX_MSAT}", name="bounds"),
    CheckConstraint("held >= 0 AND (may_be_negative OR held <= amount)", name="held"),
)

# Money set aside for answers under way, by origin. `checkpoint` is what has surely been delivered.
holds = Table(
    "holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False, index=True),
    *(Column(origin, BigInteger, nullable=False) for origin in ("granted", "card", "lightning", "earned")),
    Column("payee", Text, nullable=True),
    Column("house_bps", Integer, nullable=False),
    Column("checkpoint", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("credential_id", Text, nullable=True, index=True),
)

# One row for each answer that delivered something, free ones too. Old ones are removed; `usage_days` and `node_days`
# keep their sums. `owner_id` is the account whose node it was, and `earned_msat` what that got.
usage = Table(
    "usage",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("credential_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("node_id", Text, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("ms", BigInteger, nullable=False),
    Column("cost_msat", BigInteger, nullable=False),
    Column("owner_id", Text),
    Column("earned_msat", BigInteger, nullable=False, server_default=text("0")),
    Index("ix_usage_account_id", "account_id", "at"),
    Index("ix_usage_at", "at"),
)

# The sums of `usage`, written with it. `day` counts from 1970-01-01, UTC.
usage_days = Table(
    "usage_days",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("credential_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("ms", BigInteger, nullable=False),
    Column("cost_msat", BigInteger, nullable=False),
)

# The sums of `usage` for the nodes of accounts, written with it.
node_days = Table(
    "node_days",
    metadata,
    Column("owner_id", Text, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("node_id", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("ms", BigInteger, nullable=False),
    Column("earned_msat", BigInteger, nullable=False),
)

# What accounts ask for the models of their nodes, in msat; wins over what the nodes ask themselves.
offer_prices = Table(
    "offer_prices",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("node_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in PRICE_PARTS),
    *(CheckConstraint(f"{name} >= 0 AND {name} <= {MAX_PRICE_MSAT}", name=name) for name in PRICE_PARTS),
)

# What administrators ask for models, in msat, whatever their nodes and these nodes' accounts ask.
model_prices = Table(
    "model_prices",
    metadata,
    Column("model", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in PRICE_PARTS),
    *(CheckConstraint(f"{name} >= 0 AND {name} <= {MAX_PRICE_MSAT}", name=name) for name in PRICE_PARTS),
)

APPEND_ONLY = ("entries", "postings")


def microseconds(seconds: float) -> int:
    """A clock's seconds since 1970 as the tables hold them."""
    return round(seconds * 1_000_000)
