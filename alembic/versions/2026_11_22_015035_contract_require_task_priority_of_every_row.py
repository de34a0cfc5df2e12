"""Contract: require task.priority of every row

Why: every task has a priority; the column says so itself.
Locks: SHARE UPDATE EXCLUSIVE on phase2.task during the one scan that validates both CHECKs (reads and
writes go on); then ACCESS EXCLUSIVE for catalogue changes: the validated CHECK spares SET NOT NULL its scan.
Undo: exact; both CHECKs are NOT VALID again, as before. Nothing is lost.

Revision ID: 75ae1dcf0ddc
Revises: 1f0ee96ec47c
Create Date: 2026-11-22 01:50:35.562173+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "75ae1dcf0ddc"
down_revision: str | tuple[str, ...] | None = "1f0ee96ec47c"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE phase2.task"
        " VALIDATE CONSTRAINT ck_task_priority_present, VALIDATE CONSTRAINT ck_task_priority_range"
    )
    op.alter_column(
        "task",
        "priority",
        existing_type=sa.SmallInteger(),
        existing_server_default=sa.text("1"),
        nullable=False,
        schema="phase2",
    )
    op.drop_constraint(op.f("ck_task_priority_present"), "task", schema="phase2", type_="check")


def downgrade() -> None:
    op.create_check_constraint(
        op.f("ck_task_priority_present"),
        "task",
        "priority IS NOT NULL",
        schema="phase2",
        postgresql_not_valid=True,
    )
    op.alter_column(
        "task",
        "priority",
        existing_type=sa.SmallInteger(),
        existing_server_default=sa.text("1"),
        nullable=True,
        schema="phase2",
    )
    # A constraint cannot be made NOT VALID again; it is replaced.
    op.drop_constraint(op.f("ck_task_priority_range"), "task", schema="phase2", type_="check")
    op.create_check_constraint(
        op.f("ck_task_priority_range"),
        "task",
        "priority BETWEEN 1 AND 4",
        schema="phase2",
        postgresql_not_valid=True,
    )
