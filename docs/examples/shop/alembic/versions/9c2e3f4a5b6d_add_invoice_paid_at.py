"""Add invoice.paid_at"""

import sqlalchemy as sa
from alembic import op

revision = "9c2e3f4a5b6d"
down_revision = "7b1d2e3f4a5b"


def upgrade() -> None:
    op.add_column("invoice", sa.Column("paid_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    pass
