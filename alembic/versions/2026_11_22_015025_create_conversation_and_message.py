"""Create conversation and message

Why: what a user and the assistant say to each other is kept. A message refers to user and conversation
by one two-column key, so that none can sit in another user's conversation.
Locks: SHARE ROW EXCLUSIVE on phase2.user while its foreign key is made (writes to it wait), no scan: both
tables are new and empty.
Undo: exact; the conversations and messages written meanwhile are gone.

Revision ID: 0d1d61926a55
Revises: fd6e21b194b5
Create Date: 2026-11-22 01:50:25.273050+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0d1d61926a55"
down_revision: str | tuple[str, ...] | None = "fd6e21b194b5"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None


def upgrade() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["phase2.user.id"], name=op.f("fk_conversation_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation")),
        sa.UniqueConstraint("user_id", "id", name=op.f("uq_conversation_user_id_id")),
        schema="phase2",
        comment="Threads of messages between a user and an assistant.",
    )
    op.create_index(
        "ix_conversation_user_id_updated_at_id",
        "conversation",
        ["user_id", sa.literal_column("updated_at DESC"), "id"],
        unique=False,
        schema="phase2",
    )
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.CheckConstraint("content <> ''", name=op.f("ck_message_content_not_empty")),
        sa.CheckConstraint("role IN ('user', 'assistant', 'system', 'tool')", name=op.f("ck_message_role")),
        sa.ForeignKeyConstraint(
            ["user_id", "conversation_id"],
            ["phase2.conversation.user_id", "phase2.conversation.id"],
            name=op.f("fk_message_user_id_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        schema="phase2",
        comment="Turns of conversations, in the order of created_at.",
    )
    op.create_index(
        op.f("ix_message_user_id_conversation_id_created_at_id"),
        "message",
        ["user_id", "conversation_id", "created_at", "id"],
        unique=False,
        schema="phase2",
    )


def downgrade() -> None:
    op.drop_index(
        op.f("ix_message_user_id_conversation_id_created_at_id"), table_name="message", schema="phase2"
    )
    op.drop_table("message", schema="phase2")
    op.drop_index("ix_conversation_user_id_updated_at_id", table_name="conversation", schema="phase2")
    op.drop_table("conversation", schema="phase2")
