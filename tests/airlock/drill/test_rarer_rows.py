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
    # A child whose whole key is the reference: nothing is left to choose in it.
    Case("profiles_go_along", "state text NOT NULL",
         sql("CREATE TABLE k_$t AS SELECT * FROM $t WHERE state = 'void'", "DELETE FROM $t WHERE state = 'void'"),
         sql("INSERT INTO $t SELECT * FROM k_$t", "DROP TABLE k_$t"),
         beside="CREATE TABLE c_$t (p integer PRIMARY KEY REFERENCES $t ON DELETE CASCADE, note text)"),
    # What goes with a row that was made for an earlier statement already, since its key lets no second one in.
    Case("grandchildren_by_code", "code text NOT NULL UNIQUE",
         sql("CREATE TABLE k_$t AS SELECT * FROM $t WHERE code LIKE 'tmp-%'",
             "CREATE TABLE l_$t AS SELECT c.* FROM c_$t c JOIN k_$t k ON k.code = c.code",
             "DELETE FROM $t WHERE code LIKE 'tmp-%'"),
         sql("INSERT INTO $t SELECT * FROM k_$t", "INSERT INTO c_$t SELECT * FROM l_$t", "DROP TABLE k_$t, l_$t"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, code text REFERENCES $t (code) ON DELETE CASCADE)\n"
                "CREATE TABLE g_$t (id serial PRIMARY KEY, c integer NOT NULL REFERENCES c_$t ON DELETE CASCADE)"),
    # What takes the rows is not there before the step: they are seen to go, and get children.
    Case("extras_of_copied_rows", "state text NOT NULL",
         sql("CREATE TABLE k_$t AS SELECT * FROM $t WHERE state = 'void'",
             "DELETE FROM $t WHERE id IN (SELECT id FROM k_$t)"),
         sql("INSERT INTO $t SELECT * FROM k_$t", "DROP TABLE k_$t"),
         beside="CREATE TABLE c_$t (id serial PRIMARY KEY, p integer REFERENCES $t ON DELETE CASCADE, note text)"),
    # What a view holds that was filled anew above, by a function: the revision's text does not say so.
    Case("view_filled_above", "n integer NOT NULL",
         sql("CREATE TABLE k_$t AS SELECT id, n FROM $t", "UPDATE $t SET n = n / 2", "SELECT f_$t()"),
         sql("UPDATE $t SET n = k.n FROM k_$t k WHERE k.id = $t.id", "DROP TABLE k_$t"),
         beside="CREATE MATERIALIZED VIEW v_$t AS SELECT count(*), sum(n) FROM $t\n"
                "CREATE FUNCTION f_$t() RETURNS void LANGUAGE plpgsql AS 'BEGIN REFRESH MATERIALIZED VIEW v_$t; END'"),
    # A mark among many letters of a class, where the text is parted at it.
    Case("parted_at_a_mark", "token text NOT NULL",
         sql("ALTER TABLE $t ADD kind text", "UPDATE $t SET kind = split_part(token, '_', 1), token = split_part(token, '_', 2) "
             "WHERE token ~ '^[a-z]+_[A-Za-z0-9_]+$'"),
         sql("UPDATE $t SET token = kind || '_' || token WHERE kind IS NOT NULL", "ALTER TABLE $t DROP kind")),
    # More than a handful of one group.
    Case("keeps_the_last_twelve", "doc integer NOT NULL, v integer NOT NULL",
         sql("DELETE FROM $t WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY doc ORDER BY v DESC, id) "
             "AS place FROM $t) r WHERE place > 12)")),
    # What Python makes of texts: patterns, letters, numbers, entities; the last round of a loop finds nothing.
    Case("splits_at_either", "n text NOT NULL", _each("id, n", "','.join(__import__('re').split(r'[;,]', r['n']))")),
    Case("reads_a_number", "n text NOT NULL", _each("id, n", "_read(r['n'])"), extra="""
def _read(text):
    if text.lower() in ("true", "false"):
        return text.lower()
    try:
        return str(float(text)) if "." in text else text
    except ValueError:
        return text
"""),
    Case("one_name_for_all", "n text NOT NULL",
         "seen = {}\n" + _each("id, n", "seen.setdefault(r['n'].casefold(), r['n'])")),
    Case("in_chunks", "n text NOT NULL",
         "import html\nlast = None\n"
         "while True:\n"
         "    where = '' if last is None else f'WHERE id > {last}'\n"
         "    rows = op.get_bind().execute(sa.text(f'SELECT id, n FROM $t {where} ORDER BY id LIMIT 500')).all()\n"
         "    if not rows:\n"
         "        break\n"
         "    for row in rows:\n"
         "        text = html.unescape(row.n)\n"
         "        op.get_bind().execute(sa.text('UPDATE $t SET n = :n WHERE id = :i'), {'n': text, 'i': row.id})\n"
         "    last = rows[-1].id"),
    Case("a_month_later", "n date NOT NULL",
         "import datetime\n" + _each("id, n", "(r['n'].replace(day=28) + datetime.timedelta(4)).replace(day=1)")),
    # Less room before the point keeps the largest numbers out; on others it cuts behind the point.
    Case("less_room_on_both_sides", "n numeric(18, 8) NOT NULL", sql("ALTER TABLE $t ALTER n TYPE numeric(12, 4)"),
         sql("ALTER TABLE $t ALTER n TYPE numeric(18, 8)")),
    # Branches of Python that one value does not lead to.
    Case("of_one_kind_below", "kind text, n integer NOT NULL",
         "for r in op.get_bind().execute(sa.text('SELECT id, kind, n FROM $t')).mappings():\n"
         "    if r['kind'] == 'fee' and r['n'] < -65536:\n"
         "        op.get_bind().execute(sa.text('UPDATE $t SET n = 0 WHERE id = :i'), {'i': r['id']})"),
    Case("without_owner_and_amount", "state text NOT NULL, owner text, amount numeric(9,2)",
         "for r in op.get_bind().execute(sa.text('SELECT * FROM $t')).all():\n"
         "    if r.state == 'lost' and not r.owner and not r.amount:\n"
         "        op.get_bind().execute(sa.text('DELETE FROM $t WHERE id = :i'), {'i': r.id})"),
    Case("matches_documents", "doc jsonb NOT NULL",
         "for key, doc in op.get_bind().execute(sa.text('SELECT id, doc FROM $t')).all():\n"
         "    match doc:\n"
         "        case {'type': 'hover', 'x': _}:\n"
         "            op.get_bind().execute(sa.text('DELETE FROM $t WHERE id = :i'), {'i': key})"),
)  # fmt: skip


@pytest.mark.proof
def test_what_few_rows_lose_is_refused(tmp_path: Path) -> None:
    """Rows on which Python breaks take usual values; rows are made that go together with a partner, or by the dozen."""
    report = drill(write(tmp_path, FAULTY))
    assert [(one.revision, one.reason) for one in report.revisions[1:] if one.verdict != REFUSED] == []
