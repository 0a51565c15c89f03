"""What a key may do: scopes, expiry, models, rates, budgets. Usage by day. One table for everything that is limited."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NEW_COLUMNS = (
    ("expires_at", sa.BigInteger),
    ("models", sa.Text),
    ("requests_per_minute", sa.BigInteger),
    ("tokens_per_minute", sa.BigInteger),
    ("concurrent_requests", sa.BigInteger),
)


def upgrade() -> None:
    for name, kind in NEW_COLUMNS:
        op.add_column("credentials", sa.Column(name, kind, nullable=True))
    op.add_column("credentials", sa.Column("scopes", sa.Text, nullable=False, server_default="inference"))
    op.execute("UPDATE credentials SET scopes = 'node' WHERE kind = 'node_token'")
    op.add_column("holds", sa.Column("credential_id", sa.Text, nullable=True))
    op.create_index("ix_holds_credential_id", "holds", ["credential_id"])
    op.create_table(
        "budgets",
        sa.Column("credential_id", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("amount", "spent", "held", "since")),
        sa.PrimaryKeyConstraint("credential_id", "period", name="pk_budgets"),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credentials.id"], name="fk_budgets_credential_id_credentials", ondelete="CASCADE"
        ),
        sa.CheckConstraint("period IN ('day', 'month', 'total')", name=op.f("ck_budgets_period")),
        sa.CheckConstraint("amount >= 0 AND spent >= 0 AND held >= 0", name=op.f("ck_budgets_bounds")),
    )
    op.create_table(
        "usage_days",
        sa.Column("day", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("account_id", "credential_id", "model")),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("requests", "prompt_tokens", "completion_tokens", "ms", "cost_msat")
        ),
        sa.PrimaryKeyConstraint("account_id", "day", "credential_id", "model", name="pk_usage_days"),
    )
    op.execute(
        "INSERT INTO usage_days (day, account_id, credential_id, model,"
        " requests, prompt_tokens, completion_tokens, ms, cost_msat)"
        " SELECT at / 86400000000, account_id, credential_id, model,"
        " count(*), sum(prompt_tokens), sum(completion_tokens), sum(ms), sum(cost_msat)"
        " FROM usage GROUP BY at / 86400000000, account_id, credential_id, model"
    )
    op.create_index("ix_usage_at", "usage", ["at"])
    op.drop_table("login_attempts")  # a minute's worth of counting
    op.create_table(
        "rates",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rates"),
    )
    op.create_index("ix_rates_until", "rates", ["until"])
    op.create_table(
        "places",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", "key", name="pk_places"),
    )
    op.create_index("ix_places_key", "places", ["key"])
    op.create_index("ix_places_lease_until", "places", ["lease_until"])


def downgrade() -> None:
    for table in ("places", "rates", "usage_days", "budgets"):
        op.drop_table(table)
    op.drop_index("ix_usage_at", "usage")
    op.create_table(
        "login_attempts",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_login_attempts"),
    )
    op.create_index("ix_login_attempts_until", "login_attempts", ["until"])
    op.drop_index("ix_holds_credential_id", "holds")
    op.drop_column("holds", "credential_id")
    op.drop_column("credentials", "scopes")
    for name, _ in NEW_COLUMNS:
        op.drop_column("credentials", name)
