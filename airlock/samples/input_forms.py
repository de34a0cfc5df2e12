"""What a type's own input function takes: asked of the server, for types of which nothing else is known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.drivers.spelling import literal
from airlock.samples.extension_types import FORMS, values_of

if TYPE_CHECKING:
    from airlock.samples.model import Column

# One block for all forms, so that asking costs one round trip; each is read for the row numbers 0, 1, 2 and 40.
_ASK = """
DO $airlock$
DECLARE
  forms text[] := %s;
  taken text := '';
  ok boolean;
BEGIN
  FOR number IN 1 .. array_length(forms, 1) LOOP
    BEGIN
      EXECUTE format('SELECT count(DISTINCT v::text) = 4 FROM (SELECT (%%s)::%%s AS v'
                     ' FROM unnest(''{0,1,2,40}''::bigint[]) AS i) AS t',
                     replace(forms[number], '$i', 'i'), %s) INTO ok;
      IF ok THEN
        taken := taken || ' ' || number;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
  PERFORM set_config('airlock.forms', taken, true);
END
$airlock$
"""
# Functions that the type's own extension makes such values of one number or text with.
_FUNCTIONS = """
SELECT format('%%I.%%I(($i)::%%s)', n.nspname, p.proname, format_type(p.proargtypes[0], NULL))
FROM pg_depend t JOIN pg_depend f ON f.refclassid = t.refclassid AND f.refobjid = t.refobjid AND f.deptype = 'e'
JOIN pg_proc p ON f.classid = 'pg_proc'::regclass AND p.oid = f.objid JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE t.classid = 'pg_type'::regclass AND t.objid = %s::regtype AND t.refclassid = 'pg_extension'::regclass AND t.deptype = 'e'
  AND p.prorettype = %s::regtype AND NOT p.proretset AND p.pronargs = 1 AND p.provolatile = 'i' AND p.prokind = 'f'
  AND p.proargtypes[0] IN ('int4'::regtype, 'int8'::regtype, 'float8'::regtype, 'text'::regtype) ORDER BY p.oid LIMIT 12"""
# What names such values: CHECKs and defaults of tables with a column of the type, CHECKs of domains over it.
_NAMING = """
SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.contype = 'c' AND (
  k.conrelid IN (SELECT attrelid FROM pg_attribute WHERE atttypid = %s::regtype)
  OR k.contypid IN (SELECT oid FROM pg_type WHERE typbasetype = %s::regtype))
UNION ALL SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.atttypid = %s::regtype"""
_HOLDING = """
SELECT format('SELECT %%I::text FROM ONLY %%I.%%I WHERE %%1$I IS NOT NULL LIMIT 8', a.attname, n.nspname, c.relname)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.atttypid = %s::regtype AND NOT a.attisdropped AND c.relkind IN ('r', 'm') AND has_table_privilege(c.oid, 'SELECT')
ORDER BY c.oid LIMIT 8"""
_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_MOST = 24


def forms_taken(cursor: Any, full: str) -> tuple[str, ...]:
    """List the forms that the type `full` reads as four different values, those of its extension's functions last.

    Where none fits, one form of the values that CHECKs, defaults and other rows name; () where there are none either, or
    PL/pgSQL is missing. Reads only, in the caller's transaction, which goes on whatever it raises.
    """
    forms: tuple[str, ...] = FORMS

    def ask() -> str:
        nonlocal forms
        cursor.execute(_FUNCTIONS, (full, full))
        forms = (*FORMS, *(str(row[0]) for row in cursor.fetchall()))
        cursor.execute(_ASK, (list(forms), full))
        cursor.execute("SELECT current_setting('airlock.forms', true)")
        return str((cursor.fetchone() or ("",))[0] or "")

    taken = client.in_savepoint(cursor, ask) or ""
    if found := tuple(forms[int(number) - 1] for number in taken.split()):
        return found
    named = [one for one in _named(cursor, full) if _reads(cursor, full, one)]
    return (f"(ARRAY[{', '.join(map(literal, named))}])[1 + ($i) % {len(named)}]",) if named else ()


def _named(cursor: Any, full: str) -> list[str]:
    """Give texts that may be values of a type: what is named where it is used, and what rows hold."""

    def ask() -> list[str]:
        cursor.execute(_NAMING, (full, full, full))
        texts = [one.replace("''", "'") for (told,) in cursor.fetchall() for one in _LITERAL.findall(told)]
        cursor.execute(_HOLDING, (full,))
        for (query,) in cursor.fetchall():
            cursor.execute(str(query).replace("%", "%%"), ())
            texts += [str(value) for (value,) in cursor.fetchall()]
        return texts

    return list(dict.fromkeys(client.in_savepoint(cursor, ask) or ()))[:_MOST]


def _reads(cursor: Any, full: str, text: str) -> bool:
    def ask() -> bool:
        cursor.execute(f"SELECT %s::{full.replace('%', '%%')}", (text,))
        return True

    return client.in_savepoint(cursor, ask) is True


def forms_of(cursor: Any, column: Column, asked: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Ask once per type what it reads, unless it is known; `asked` remembers it."""
    element = column.full.removesuffix("[]")
    if values_of(element) or column.category == "S":
        return ()
    if element not in asked:
        asked[element] = forms_taken(cursor, element)
    return asked[element]
