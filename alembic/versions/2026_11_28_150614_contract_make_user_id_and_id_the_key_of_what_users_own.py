"""Contract: make user_id and id the key of what users own

Why: on a cluster that is sharded by user no shard can look after a key that lacks user_id. The foreign key
from message to conversation is made anew on the new key; the unique one that it rested on says the same.
Locks: ACCESS EXCLUSIVE on phase2.task, phase2.conversation and phase2.message, taken in the order in which
the application takes its own, for catalogue changes only: the indexes are there, the foreign key is NOT VALID.
Undo: exact. The indexes of the old keys are built first, concurrently; then the foreign key is validated, and
the indexes of the revision before are built, all outside a transaction. An id that two users' rows share by
then ends it before anything is swapped.

Revision ID: b1a4e9d3057c
Revises: 6d0b7c1f2e94
Create Date: 2026-11-28 15:06:14.118240+00:00
"""

from __future__ import annotations

from alembic import op

revision: str = "b1a4e9d3057c"
down_revision: str | tuple[str, ...] | None = "6d0b7c1f2e94"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None

# Up, it is one transaction. Down, run again, it clears away whatever an earlier run left and starts over.
resumable = True

TABLES = ("task", "conversation", "message")


def upgrade() -> None:
    lock()
    drop("message", "fk_message_user_id_conversation_id")
    for table in TABLES:
        take_key(table, f"ux_{table}_user_id_id")
    drop("conversation", "uq_conversation_user_id_id")
    refer()


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for table in TABLES:
            drop_index(table, f"ux_{table}_user_id_id")
            build(table, f"ux_{table}_id", "id")
        build("conversation", "ux_conversation_reference", "user_id", "id")
    lock()
    drop("message", "fk_message_user_id_conversation_id")
    for table in TABLES:
        take_key(table, f"ux_{table}_id")
    drop("conversation", "uq_conversation_user_id_id")
    op.execute(
        "ALTER TABLE phase2.conversation"
        " ADD CONSTRAINT uq_conversation_user_id_id UNIQUE USING INDEX ux_conversation_reference"
    )
    refer()
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE phase2.message VALIDATE CONSTRAINT fk_message_user_id_conversation_id")
        # Only now: the foreign key rests on the oldest index that it can.
        for table in TABLES:
            build(table, f"ux_{table}_user_id_id", "user_id", "id")


def build(table: str, index: str, *columns: str) -> None:
    drop_index(table, index)
    op.create_index(index, table, columns, unique=True, schema="phase2", postgresql_concurrently=True)


def drop_index(table: str, index: str) -> None:
    op.drop_index(index, table_name=table, schema="phase2", if_exists=True, postgresql_concurrently=True)


def lock() -> None:
    """Take every lock before any is needed: in another order than the application's, two could deadlock."""
    op.execute("LOCK TABLE phase2.task, phase2.conversation, phase2.message IN ACCESS EXCLUSIVE MODE")


def take_key(table: str, index: str) -> None:
    op.execute(
        f"ALTER TABLE phase2.{table} DROP CONSTRAINT pk_{table},"
        f" ADD CONSTRAINT pk_{table} PRIMARY KEY USING INDEX {index}"
    )


def drop(table: str, constraint: str) -> None:
    op.execute(f"ALTER TABLE phase2.{table} DROP CONSTRAINT IF EXISTS {constraint}")


def refer() -> None:
    op.create_foreign_key(
        op.f("fk_message_user_id_conversation_id"),
        "message",
        "conversation",
        ["user_id", "conversation_id"],
        ["user_id", "id"],
        source_schema="phase2",
        referent_schema="phase2",
        ondelete="CASCADE",
        postgresql_not_valid=True,
    )
