"""The tables of deposits and payouts. As in `schema.py`; ids are "dep_..." and "pay_...".

None refers to `accounts`: what was paid is kept when somebody leaves, as the journal is.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Table, Text, UniqueConstraint

from lightphon_core.storage.metadata import metadata

DEPOSIT_STATES = ("creating", "open", "expired", "failed", "settled", "reversed")
PAYOUT_STATES = ("awaiting_approval", "held", "submitted", "unknown", "paid", "failed")

# `amount` is what was asked for, `received` what came. `pay` is a JSON object: what the payer needs. Where a provider
# has a currency, `price` in hundredths of it is to be paid for `amount`; `rate` is that of a bitcoin then, as decimal
# text. `clawed_back` is what refunds and disputes have taken back, in msat.
deposits = Table(
    "deposits",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=True),
    Column("ref", Text, nullable=True),
    Column("pay", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger, nullable=True),
    Column("currency", Text, nullable=True),
    Column("price", BigInteger, nullable=True),
    Column("rate", Text, nullable=True),
    Column("clawed_back", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("provider", "ref", name="uq_deposits_provider"),
    Index("ix_deposits_account_id", "account_id", "created_at"),
    Index("ix_deposits_state", "state", "created_at"),
    CheckConstraint(f"state IN ({', '.join(map(repr, DEPOSIT_STATES))})", name="state"),
)

# What providers have said, once each: written with the entry that it led to.
payment_events = Table(
    "payment_events",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("ref", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# Refunds and disputes, by the provider's id; they may come before the payment that they take back.
payment_reversals = Table(
    "payment_reversals",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("ref", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("returned", Boolean(create_constraint=False), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_payment_reversals_provider", "provider", "ref"),
)

# Up to where the events of each provider have been read.
payment_cursors = Table(
    "payment_cursors",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("cursor", Text, nullable=False),
)

# `destination` is what was asked for, `invoice` what is paid, under the payment hash `ref`: both are kept before it is
# sent. `lightning` and `earned` are what was taken from the wallet: amount and fee cap together.
payouts = Table(
    "payouts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("automatic", Boolean(create_constraint=False), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("fee_cap", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=True),
    Column("lightning", BigInteger, nullable=False),
    Column("earned", BigInteger, nullable=False),
    Column("ref", Text, nullable=True),
    Column("invoice", Text, nullable=True),
    Column("invoice_expires_at", BigInteger, nullable=True),
    Column("reason", Text, nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("submitted_at", BigInteger, nullable=True),
    Column("ended_at", BigInteger, nullable=True),
    UniqueConstraint("provider", "ref", name="uq_payouts_provider"),
    Index("ix_payouts_account_id", "account_id", "created_at"),
    Index("ix_payouts_state", "state", "created_at"),
    CheckConstraint(f"state IN ({', '.join(map(repr, PAYOUT_STATES))})", name="state"),
    CheckConstraint("amount > 0 AND fee_cap >= 0", name="amounts"),
    CheckConstraint("lightning >= 0 AND earned >= 0", name="parts"),
)

# Who is paid by itself, above which balance. `trouble` says why it did not work the last time.
automatic_payouts = Table(
    "automatic_payouts",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("threshold", BigInteger, nullable=False),
    Column("tried_at", BigInteger, nullable=True),
    Column("trouble", Text, nullable=True),
)

# Providers through which nothing is paid out for now, and why.
payout_freezes = Table(
    "payout_freezes",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)
