"""Expand: spell the roles of messages as text

Why: distributing the table to shards spells `role IN (…)` of a varchar otherwise, which then looks like drift.
The same rule about `role::text` stays as it is. Both hold until the next revision.
Locks: ACCESS EXCLUSIVE on phase2.message, one catalogue change, no scan (NOT VALID).
Undo: exact; nothing is lost.

Revision ID: 27f3c8ab6e10
Revises: b1a4e9d3057c
Create Date: 2026-11-28 15:06:18.730559+00:00
"""

from __future__ import annotations

from alembic import op

revision: str = "27f3c8ab6e10"
down_revision: str | tuple[str, ...] | None = "b1a4e9d3057c"
branch_labels: str | tuple[str, ...] | None = None
depends_on: str | tuple[str, ...] | None = None


def upgrade() -> None:
    op.create_check_constraint(
        op.f("ck_message_role_text"),
        "message",
        "role::text = ANY (ARRAY['user'::text, 'assistant'::text, 'system'::text, 'tool'::text])",
        schema="phase2",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_message_role_text"), "message", schema="phase2", type_="check")
