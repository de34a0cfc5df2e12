"""Contract: require task.priority of new rows

Why: from here on no row is written without a priority. The rows that are there are looked at by the next
revision, under a weaker lock; that needs this one committed.
Locks: ACCESS EXCLUSIVE on phase2.task, one catalogue change, no scan (NOT VALID).
Undo: exact; nothing is lost.

Revision ID: 1f0ee96ec47c
Revises: 1fbaac01e8bc
Create Date: 2026-11-22 01:50:32.447847+00:00
"""

from __future__ import annotations

from alembic import op

revision: str = "1f0ee96ec47c"
down_revision: str | tuple[str, ...] | None = "1fbaac01e8bc"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None


def upgrade() -> None:
    op.create_check_constraint(
        op.f("ck_task_priority_present"),
        "task",
        "priority IS NOT NULL",
        schema="phase2",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_task_priority_present"), "task", schema="phase2", type_="check")
