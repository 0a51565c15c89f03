"""What the requests of a key ask for where they say nothing themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("credentials", sa.Column("filters", sa.Text, nullable=True))


def downgrade() -> None:
    op.drop_column("credentials", "filters")
