"""Index open tasks per user

Why: the list of open tasks is asked for most; it should not read the done ones.
Locks: SHARE UPDATE EXCLUSIVE on phase2.task while the index is built (reads and writes go on); it waits
for transactions older than itself. Not in a transaction.
Undo: exact, without blocking either; nothing is lost.

Revision ID: fd2abf270b21
Revises: 75ae1dcf0ddc
Create Date: 2026-11-22 01:50:38.178051+00:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "fd2abf270b21"
down_revision: str | tuple[str, ...] | None = "75ae1dcf0ddc"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None

# Run again, it starts by clearing away what was left.
resumable = True


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # A build that was cut short leaves an INVALID index of this name behind.
        op.drop_index(
            "ix_task_user_id_open",
            table_name="task",
            schema="phase2",
            if_exists=True,
            postgresql_concurrently=True,
        )
        op.create_index(
            "ix_task_user_id_open",
            "task",
            ["user_id"],
            unique=False,
            schema="phase2",
            postgresql_where=sa.text("NOT completed"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(
            "ix_task_user_id_open",
            table_name="task",
            schema="phase2",
            if_exists=True,
            postgresql_concurrently=True,
        )
