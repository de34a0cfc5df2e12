"""Expand: index what users own by user_id and id

Why: a schema that is sharded by user has user_id in every key. The next revision makes these indexes the
primary keys of task, conversation and message.
Locks: SHARE UPDATE EXCLUSIVE on one of the three tables at a time while its index is built (reads and writes go
on); each build waits for transactions older than itself. Not in a transaction.
Undo: exact, without blocking either; nothing is lost.

Revision ID: 6d0b7c1f2e94
Revises: d89ba5cd0468
Create Date: 2026-11-28 15:06:11.402913+00:00
"""

from __future__ import annotations

from alembic import op

revision: str = "6d0b7c1f2e94"
down_revision: str | tuple[str, ...] | None = "d89ba5cd0468"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None

# Run again, it starts each build by clearing away what was left.
resumable = True

TABLES = ("task", "conversation", "message")


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table in TABLES:
            # A build that was cut short leaves an INVALID index of this name behind.
            drop(table)
            op.create_index(
                f"ux_{table}_user_id_id",
                table,
                ["user_id", "id"],
                unique=True,
                schema="phase2",
                postgresql_concurrently=True,
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for table in reversed(TABLES):
            drop(table)


def drop(table: str) -> None:
    op.drop_index(
        f"ux_{table}_user_id_id",
        table_name=table,
        schema="phase2",
        if_exists=True,
        postgresql_concurrently=True,
    )
