"""Which kind of gateway asks with a key, so that its requests do not go round in a circle."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("credentials", sa.Column("used_by", sa.Text, nullable=True))


def downgrade() -> None:
    op.drop_column("credentials", "used_by")
