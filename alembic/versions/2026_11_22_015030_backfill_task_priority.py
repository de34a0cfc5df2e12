"""Backfill task.priority

Why: tasks older than the column get the usual priority, 1, so that it can be required.
Locks: ROW EXCLUSIVE on phase2.task, and the rows of one batch of 2,000, for as long as that batch takes:
each is committed by itself. No scan: batches follow the primary key. A statement timeout counts the whole.
Undo: the structure is untouched; the values stay, for nobody can tell a filled-in 1 from a chosen one.

Revision ID: 1fbaac01e8bc
Revises: 2962789fd751
Create Date: 2026-11-22 01:50:30.598155+00:00
"""

from __future__ import annotations

from alembic import op

revision: str = "1fbaac01e8bc"
down_revision: str | tuple[str, ...] | None = "2962789fd751"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None

# Every batch is committed, so a run that was killed goes on where it stopped.
resumable = True
kept = {"phase2.task.priority": "NULL meant 1"}

BACKFILL = """
DO $backfill$
DECLARE
    first uuid := '00000000-0000-0000-0000-000000000000';
    last uuid;
    more boolean := true;
BEGIN
    WHILE more LOOP
        SELECT id INTO last FROM phase2.task WHERE id >= first ORDER BY id OFFSET 2000 LIMIT 1;
        more := FOUND;
        last := coalesce(last, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
        UPDATE phase2.task SET priority = 1 WHERE id >= first AND id <= last AND priority IS NULL;
        COMMIT;
        first := last;
    END LOOP;
END
$backfill$
"""


def upgrade() -> None:
    # COMMIT inside DO needs to be outside a transaction block: online, in --sql and under plain Alembic.
    with op.get_context().autocommit_block():
        op.execute(BACKFILL)


def downgrade() -> None:
    """Keep the values: see `kept`."""
