"""Expand: add task.priority, nullable

Why: tasks get a priority of 1 to 4. The default comes after the column: the rows that are there stay NULL
(no rewrite), and from here on code that does not know the column writes 1, never NULL.
Locks: ACCESS EXCLUSIVE on phase2.task, three catalogue changes, no scan: the CHECK is NOT VALID until
the contract revision validates it.
Undo: exact; the priorities given meanwhile are gone.

Revision ID: 2962789fd751
Revises: 0d1d61926a55
Create Date: 2026-11-22 01:50:28.052644+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "2962789fd751"
down_revision: str | tuple[str, ...] | None = "0d1d61926a55"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None


def upgrade() -> None:
    op.add_column("task", sa.Column("priority", sa.SmallInteger(), nullable=True), schema="phase2")
    op.alter_column(
        "task",
        "priority",
        existing_type=sa.SmallInteger(),
        existing_nullable=True,
        server_default=sa.text("1"),
        schema="phase2",
    )
    op.create_check_constraint(
        op.f("ck_task_priority_range"),
        "task",
        "priority BETWEEN 1 AND 4",
        schema="phase2",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_task_priority_range"), "task", schema="phase2", type_="check")
    op.drop_column("task", "priority", schema="phase2")
