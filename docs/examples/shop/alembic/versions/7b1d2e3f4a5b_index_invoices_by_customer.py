"""Index invoices by customer"""

from alembic import op

revision = "7b1d2e3f4a5b"
down_revision = "5f0a1c2b3d4e"


def upgrade() -> None:
    op.create_index("invoice_customer_id_idx", "invoice", ["customer_id"])


def downgrade() -> None:
    op.drop_index("invoice_customer_id_idx", "invoice")
