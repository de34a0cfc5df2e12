"""${message if "\n" in str(message) else f"{message}\n\nWhy: TODO\nLocks: TODO\nUndo: TODO"}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from __future__ import annotations

${"import sqlalchemy as sa\n" if "sa." in f"{upgrades}{downgrades}" or not upgrades else ""}from alembic import op
${imports + "\n" if imports else ""}
revision: str = "${up_revision}"
down_revision: ${"str | tuple[str, ...] | None"} = ${repr(down_revision).replace("'", '"')}
branch_labels: ${"str | tuple[str, ...] | None"} = ${repr(branch_labels).replace("'", '"')}
depends_on: ${"str | tuple[str, ...] | None"} = ${repr(depends_on).replace("'", '"')}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
