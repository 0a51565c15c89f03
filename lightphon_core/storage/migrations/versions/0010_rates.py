"""When it was written down what is owed of a rate, so that a clock which goes back is noticed. All is forgiven once."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    _replace(sa.Column("written_at", sa.BigInteger, nullable=False))


def downgrade() -> None:
    _replace()


def _replace(*more: sa.Column[int]) -> None:
    op.drop_table("rates")
    op.create_table(
        "rates",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        *more,
        sa.PrimaryKeyConstraint("key", name="pk_rates"),
    )
    op.create_index("ix_rates_until", "rates", ["until"])
