"""Contract: validate the rules of messages

Why: the foreign key and the CHECK of roles that the two revisions before made hold for every row; the CHECK
takes the place of the one that it says again.
Locks: SHARE UPDATE EXCLUSIVE on phase2.message and ROW SHARE on phase2.conversation while they are read (reads
and writes go on); then ACCESS EXCLUSIVE on phase2.message for catalogue changes.
Undo: exact. The old CHECK is made and validated outside a transaction, so that nobody waits for its scan.

Revision ID: e5d08f41b9a2
Revises: 27f3c8ab6e10
Create Date: 2026-11-28 15:06:21.944871+00:00
"""

from __future__ import annotations

from alembic import op

revision: str = "e5d08f41b9a2"
down_revision: str | tuple[str, ...] | None = "27f3c8ab6e10"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None

# Up, it is one transaction. Down, run again, it clears away what an earlier run left.
resumable = True

OLD = "role IN ('user', 'assistant', 'system', 'tool')"
NEW = "role::text = ANY (ARRAY['user'::text, 'assistant'::text, 'system'::text, 'tool'::text])"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE phase2.message VALIDATE CONSTRAINT fk_message_user_id_conversation_id,"
        " VALIDATE CONSTRAINT ck_message_role_text"
    )
    take_place("ck_message_role_text")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE phase2.message DROP CONSTRAINT IF EXISTS ck_message_role_in")
        op.execute(f"ALTER TABLE phase2.message ADD CONSTRAINT ck_message_role_in CHECK ({OLD}) NOT VALID")
        op.execute("ALTER TABLE phase2.message VALIDATE CONSTRAINT ck_message_role_in")
    # What was validated cannot be made NOT VALID again; it is replaced.
    op.execute("LOCK TABLE phase2.conversation, phase2.message IN ACCESS EXCLUSIVE MODE")
    take_place("ck_message_role_in")
    op.execute(f"ALTER TABLE phase2.message ADD CONSTRAINT ck_message_role_text CHECK ({NEW}) NOT VALID")
    op.drop_constraint(
        op.f("fk_message_user_id_conversation_id"), "message", schema="phase2", type_="foreignkey"
    )
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


def take_place(constraint: str) -> None:
    op.drop_constraint(op.f("ck_message_role"), "message", schema="phase2", type_="check")
    op.execute(f"ALTER TABLE phase2.message RENAME CONSTRAINT {constraint} TO ck_message_role")
