"""Create user and task

Why: people sign in, and each has a list of tasks that is theirs alone.
Locks: none on anything that existed before; both tables are new.
Undo: exact; the users and tasks written meanwhile are gone. The schema phase2 stays, it holds the version table.

Revision ID: fd6e21b194b5
Revises:
Create Date: 2026-11-22 01:50:22.667763+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "fd6e21b194b5"
down_revision: str | tuple[str, ...] | None = None
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None


def upgrade() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_user_email_lower")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("email", name=op.f("uq_user_email")),
        schema="phase2",
        comment="People who sign in; owners of tasks and conversations.",
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("completed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("title ~ '\\S'", name=op.f("ck_task_title_not_blank")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["phase2.user.id"], name=op.f("fk_task_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        schema="phase2",
        comment="What users mean to do.",
    )
    op.create_index(
        "ix_task_user_id_created_at_id",
        "task",
        ["user_id", sa.literal_column("created_at DESC"), "id"],
        unique=False,
        schema="phase2",
    )


def downgrade() -> None:
    op.drop_index("ix_task_user_id_created_at_id", table_name="task", schema="phase2")
    op.drop_table("task", schema="phase2")
    op.drop_table("user", schema="phase2")
