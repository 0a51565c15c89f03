"""Deposits and payouts."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

DEPOSIT_STATES = "'creating', 'open', 'expired', 'failed', 'settled', 'reversed'"
PAYOUT_STATES = "'awaiting_approval', 'held', 'submitted', 'unknown', 'paid', 'failed'"


def text(*names: str, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=nullable) for name in names]


def number(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=nullable) for name in names]


def upgrade() -> None:
    op.create_table(
        "deposits",
        *text("id", "account_id", "provider", "state"),
        *number("amount"),
        *number("received", nullable=True),
        *text("ref", nullable=True),
        *text("pay"),
        *number("created_at", "expires_at"),
        *number("settled_at", nullable=True),
        *text("currency", nullable=True),
        *number("price", nullable=True),
        *text("rate", nullable=True),
        sa.Column("clawed_back", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_deposits"),
        sa.UniqueConstraint("provider", "ref", name="uq_deposits_provider"),
        sa.CheckConstraint(f"state IN ({DEPOSIT_STATES})", name=op.f("ck_deposits_state")),
    )
    op.create_index("ix_deposits_account_id", "deposits", ["account_id", "created_at"])
    op.create_index("ix_deposits_state", "deposits", ["state", "created_at"])
    op.create_table(
        "payment_events",
        *text("provider", "id", "ref"),
        *number("amount", "at"),
        sa.PrimaryKeyConstraint("provider", "id", name="pk_payment_events"),
    )
    op.create_table(
        "payment_reversals",
        *text("provider", "object", "ref", "currency"),
        *number("price"),
        sa.Column("returned", sa.Boolean(create_constraint=False), nullable=False),
        *number("at"),
        sa.PrimaryKeyConstraint("provider", "object", name="pk_payment_reversals"),
    )
    op.create_index("ix_payment_reversals_provider", "payment_reversals", ["provider", "ref"])
    op.create_table(
        "payment_cursors",
        *text("provider", "cursor"),
        sa.PrimaryKeyConstraint("provider", name="pk_payment_cursors"),
    )
    op.create_table(
        "payouts",
        *text("id", "account_id", "provider", "state", "destination"),
        sa.Column("automatic", sa.Boolean(create_constraint=False), nullable=False),
        *number("amount", "fee_cap"),
        *number("fee", nullable=True),
        *number("lightning", "earned"),
        *text("ref", "invoice", nullable=True),
        *number("invoice_expires_at", nullable=True),
        *text("reason", nullable=True),
        *number("created_at"),
        *number("submitted_at", "ended_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_payouts"),
        sa.UniqueConstraint("provider", "ref", name="uq_payouts_provider"),
        sa.CheckConstraint(f"state IN ({PAYOUT_STATES})", name=op.f("ck_payouts_state")),
        sa.CheckConstraint("amount > 0 AND fee_cap >= 0", name=op.f("ck_payouts_amounts")),
        sa.CheckConstraint("lightning >= 0 AND earned >= 0", name=op.f("ck_payouts_parts")),
    )
    op.create_index("ix_payouts_account_id", "payouts", ["account_id", "created_at"])
    op.create_index("ix_payouts_state", "payouts", ["state", "created_at"])
    op.create_table(
        "automatic_payouts",
        *text("account_id", "provider", "destination"),
        *number("threshold"),
        *number("tried_at", nullable=True),
        *text("trouble", nullable=True),
        sa.PrimaryKeyConstraint("account_id", name="pk_automatic_payouts"),
    )
    op.create_table(
        "payout_freezes",
        *text("provider"),
        *number("since"),
        *text("reason"),
        sa.PrimaryKeyConstraint("provider", name="pk_payout_freezes"),
    )


def downgrade() -> None:
    for table in (
        "deposits",
        "payment_events",
        "payment_reversals",
        "payment_cursors",
        "payouts",
        "automatic_payouts",
        "payout_freezes",
    ):
        op.drop_table(table)
