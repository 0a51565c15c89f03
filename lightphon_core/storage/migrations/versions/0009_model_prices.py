"""What administrators ask for models."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

PARTS = ("per_minute", "per_mtok_prompt", "per_mtok_completion", "per_request")


def upgrade() -> None:
    op.create_table(
        "model_prices",
        sa.Column("model", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in PARTS),
        sa.PrimaryKeyConstraint("model", name="pk_model_prices"),
        *(
            sa.CheckConstraint(f"{name} >= 0 AND {name} <= 1000000000000", name=op.f(f"ck_model_prices_{name}"))
            for name in PARTS
        ),
    )


def downgrade() -> None:
    op.drop_table("model_prices")
