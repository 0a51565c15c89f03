"""What each node served and earned, by day. It begins with the upgrade: older rows do not say whose node it was."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("usage", sa.Column("owner_id", sa.Text))
    op.add_column("usage", sa.Column("earned_msat", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.create_table(
        "node_days",
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("node_id", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("requests", "prompt_tokens", "completion_tokens", "ms", "earned_msat")
        ),
        sa.PrimaryKeyConstraint("owner_id", "day", "node_id", name="pk_node_days"),
    )


def downgrade() -> None:
    op.drop_table("node_days")
    op.drop_column("usage", "earned_msat")
    op.drop_column("usage", "owner_id")
