"""Steps that lose what few rows hold, or rows of which several must go together: each is refused, none left unexamined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.operations.drill import drill
from airlock.records.drill import REFUSED
from tests.airlock.drill.reached import Case, sql, write

if TYPE_CHECKING:
    from pathlib import Path


def _each(columns: str, change: str, more: str = "") -> str:
    """Spell a loop that reads all rows and writes each with `n` changed in Python."""
    return (
        f"import unicodedata, math, json\nfor r in op.get_bind().execute(sa.text('SELECT {columns} FROM $t')).mappings().all():\n"
        f"    n = {change}\n"
        f"    op.get_bind().execute(sa.text('UPDATE $t SET n = :n WHERE id = :i'){more}, {{'n': n, 'i': r['id']}})"
    )


FAULTY = (
    # Python breaks on some sample rows; on those that are left it loses.
    Case("sorts_members", "n text[] NOT NULL", _each("id, n", "sorted(r['n'])")),
    Case("strips_a_null", "n text", _each("id, n", "r['n'].strip()")),
    Case("first_letter", "n text NOT NULL", _each("id, n", "r['n'][0]")),
    Case("logarithms", "n double precision NOT NULL", _each("id, n", "round(math.log(r['n']), 2)")),
    Case("lists_for_objects", "n jsonb NOT NULL",
         _each("id, n", "{**(r['n'] if isinstance(r['n'], dict) else json.loads(r['n'])), 'v': 2}",
               ".bindparams(sa.bindparam('n', type_=sa.JSON))")),
    # What only Unicode spells in two ways.
    Case("normalises", "n text NOT NULL", _each("id, n", "unicodedata.normalize('NFKC', r['n'])")),
    # A partner that holds one constant, of a row that holds another.
    Case("goes_with_its_partner", "state text NOT NULL",
         sql("DELETE FROM c_$t c USING $t p WHERE p.id = c.p AND p.state = 'void' AND c.cents = 0"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, p integer REFERENCES $t, cents integer NOT NULL)"),
    # More than a handful of one group.
    Case("keeps_the_last_twelve", "doc integer NOT NULL, v integer NOT NULL",
         sql("DELETE FROM $t WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY doc ORDER BY v DESC, id) "
             "AS place FROM $t) r WHERE place > 12)")),
)  # fmt: skip


@pytest.mark.proof
def test_what_few_rows_lose_is_refused(tmp_path: Path) -> None:
    """Rows on which Python breaks take usual values; rows are made that go together with a partner, or by the dozen."""
    report = drill(write(tmp_path, FAULTY))
    assert [(one.revision, one.reason) for one in report.revisions[1:] if one.verdict != REFUSED] == []
