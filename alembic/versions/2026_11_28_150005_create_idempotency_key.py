"""Create idempotency_key

Why: a POST that is sent again is answered as it was the first time, not done twice.
Locks: SHARE ROW EXCLUSIVE on phase2.user while its foreign key is made (writes to it wait), no scan: the
table is new and empty.
Undo: exact; the answers kept meanwhile are gone.

Revision ID: d89ba5cd0468
Revises: fd2abf270b21
Create Date: 2026-11-28 15:00:05.726921+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "d89ba5cd0468"
down_revision: str | tuple[str, ...] | None = "fd2abf270b21"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint", sa.String(100), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("headers", postgresql.JSONB(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "endpoint", "key", name=op.f("pk_idempotency_key")),
        sa.CheckConstraint("length(request) = 32", name=op.f("ck_idempotency_key_request_sha256")),
        schema="phase2",
    )
    op.create_table_comment(
        "idempotency_key", "Answers to requests that may be sent again, for a day.", schema="phase2"
    )
    op.create_foreign_key(
        op.f("fk_idempotency_key_user_id"),
        "idempotency_key",
        "user",
        ["user_id"],
        ["id"],
        source_schema="phase2",
        referent_schema="phase2",
        ondelete="CASCADE",
    )


def downgrade() -> None:
    op.drop_table("idempotency_key", schema="phase2")
