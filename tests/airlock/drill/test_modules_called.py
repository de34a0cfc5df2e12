"""Modules of the project that a revision imports take part in what it does to rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from airlock.operations.drill import drill
from airlock.records.drill import PROVED, REFUSED
from tests.airlock.drill.reached import Case, write

if TYPE_CHECKING:
    from pathlib import Path

_TOOLS = """
import sqlalchemy as sa

GONE = {"gone", "lost"}


def rows(bind, table):
    return bind.execute(sa.text(f"SELECT id, state, n FROM {table}")).all()


def purge(bind, table):
    for row in rows(bind, table):
        if row.state == "never":
            bind.execute(sa.text(f"DELETE FROM {table} WHERE id = :id"), {"id": row.id})


def known(state):
    return "none" if state in GONE else state


def is_old(row):
    return row.state.startswith("old-") and row.n > 40_000
"""
_SET = "sa.text('UPDATE $t SET state = :s WHERE id = :id')"


@pytest.mark.proof
def test_what_a_module_of_the_project_decides_the_revision_decides(tmp_path: Path) -> None:
    """Rows are made of the constants in functions that the revision imports; a write there that no row led to is told."""
    columns = "state text NOT NULL, n integer NOT NULL"
    each = "for row in tools.rows(bind, '$t'):"
    faulty = (
        Case("purges", columns, "tools.purge(op.get_bind(), '$t')"),
        Case("maps", columns,
             f"bind = op.get_bind()\n{each} bind.execute({_SET}, {{'s': tools.known(row.state), 'id': row.id}})"),
        Case("asks", columns,
             f"bind = op.get_bind()\n{each}\n"
             "    if is_old(row): bind.execute(sa.text('DELETE FROM $t WHERE id = :id'), {'id': row.id})"),
    )  # fmt: skip
    sound = Case("reads", columns,
                 "bind = op.get_bind()\nop.add_column('$t', sa.Column('old', sa.Boolean))\n" + each + "\n"
                 "    bind.execute(sa.text('UPDATE $t SET old = :o WHERE id = :id'), {'o': is_old(row), 'id': row.id})",
                 "op.drop_column('$t', 'old')")  # fmt: skip
    imports = "import migration_tools as tools\nfrom migration_tools import is_old\n"
    ini = write(tmp_path, [replace(one, extra=imports) for one in (*faulty, sound)])
    ini.write_text(ini.read_text().replace("prepend_sys_path = .", "prepend_sys_path = %(here)s"))
    (tmp_path / "migration_tools.py").write_text(_TOOLS)
    proofs = {one.revision: one.verdict for one in drill(ini).revisions[1:]}
    assert proofs == {"purges": REFUSED, "maps": REFUSED, "asks": REFUSED, "reads": PROVED}
