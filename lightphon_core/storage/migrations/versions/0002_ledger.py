"""The ledger: journal, balances, holds, and the usage that is counted beside it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

MAX_MSAT = 10**17
APPEND_ONLY = ("entries", "postings")


def upgrade() -> None:
    op.create_table(
        "entries",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
        sa.UniqueConstraint("external_id", "kind", "source", name="uq_entries_external_id"),
    )
    op.create_table(
        "postings",
        sa.Column("entry_id", sa.Text, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("debit", sa.Text, nullable=False),
        sa.Column("credit", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "place", name="pk_postings"),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name="fk_postings_entry_id_entries"),
        sa.CheckConstraint(f"amount > 0 AND amount <= {MAX_MSAT}", name=op.f("ck_postings_amount")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_postings_two_accounts")),
    )
    op.create_index("ix_postings_debit", "postings", ["debit", "at"])
    op.create_index("ix_postings_credit", "postings", ["credit", "at"])
    op.create_table(
        "balances",
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("may_be_negative", sa.Boolean(create_constraint=False), nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_balances"),
        sa.CheckConstraint(f"amount <= {MAX_MSAT} AND amount >= -{MAX_MSAT}", name=op.f("ck_balances_bounds")),
        sa.CheckConstraint("held >= 0 AND (may_be_negative OR held <= amount)", name=op.f("ck_balances_held")),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("granted", "card", "lightning", "earned")),
        sa.Column("payee", sa.Text, nullable=True),
        sa.Column("house_bps", sa.Integer, nullable=False),
        sa.Column("checkpoint", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
    )
    op.create_index("ix_holds_account_id", "holds", ["account_id"])
    op.create_index("ix_holds_lease_until", "holds", ["lease_until"])
    op.create_table(
        "usage",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("account_id", "credential_id", "model", "node_id")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("prompt_tokens", "completion_tokens")),
        sa.Column("ms", sa.BigInteger, nullable=False),
        sa.Column("cost_msat", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
    )
    op.create_index("ix_usage_account_id", "usage", ["account_id", "at"])
    for table in APPEND_ONLY:
        _append_only(table)


def _append_only(table: str) -> None:
    """Have the database itself refuse to change or remove a row."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{table} are never changed'; END $$"
        )
        for event, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            name = f"{table}_{event.split()[0].lower()}"
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH {each} "
                f"EXECUTE FUNCTION {table}_append_only()"
            )
        return
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_{event.lower()} BEFORE {event} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are never changed'); END"
        )


def downgrade() -> None:
    for table in ("usage", "holds", "balances", "postings", "entries"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(f"DROP FUNCTION {table}_append_only()")
