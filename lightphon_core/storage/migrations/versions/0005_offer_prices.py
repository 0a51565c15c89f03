"""What accounts ask for the models of their nodes."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

PARTS = ("per_minute", "per_mtok_prompt", "per_mtok_completion", "per_request")


def upgrade() -> None:
    op.create_table(
        "offer_prices",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("account_id", "node_id", "model")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in PARTS),
        sa.PrimaryKeyConstraint("account_id", "node_id", "model", name="pk_offer_prices"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_offer_prices_account_id_accounts", ondelete="CASCADE"
        ),
        *(
            sa.CheckConstraint(f"{name} >= 0 AND {name} <= 1000000000000", name=op.f(f"ck_offer_prices_{name}"))
            for name in PARTS
        ),
    )


def downgrade() -> None:
    op.drop_table("offer_prices")
