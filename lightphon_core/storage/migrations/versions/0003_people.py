"""People: passwords, sessions, invitations, attempts to log in; administrators and blocked accounts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NEW_COLUMNS = (("password_hash", sa.Text), ("admin_since", sa.BigInteger), ("blocked_at", sa.BigInteger))


def upgrade() -> None:
    for name, kind in NEW_COLUMNS:
        op.add_column("accounts", sa.Column(name, kind, nullable=True))
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("created_at", "expires_at", "recent_until")),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sessions_account_id_accounts"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
    )
    op.create_index("ix_sessions_account_id", "sessions", ["account_id"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "invites",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("code_hash", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("created_at", "expires_at")),
        sa.PrimaryKeyConstraint("id", name="pk_invites"),
        sa.UniqueConstraint("code_hash", name="uq_invites_code_hash"),
    )
    op.create_table(
        "login_attempts",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_login_attempts"),
    )
    op.create_index("ix_login_attempts_until", "login_attempts", ["until"])


def downgrade() -> None:
    for table in ("login_attempts", "invites", "sessions"):
        op.drop_table(table)
    for name, _ in NEW_COLUMNS:
        op.drop_column("accounts", name)
