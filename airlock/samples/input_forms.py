"""What a type's own input function takes: asked of the server, for types of which nothing else is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.drivers import client
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


def forms_taken(cursor: Any, full: str) -> tuple[str, ...]:
    """List the forms that the type `full` reads as four different values; () where PL/pgSQL is missing or none fits.

    Runs one read-only block in the caller's transaction, which goes on whatever it raises.
    """

    def ask() -> str:
        cursor.execute(_ASK, (list(FORMS), full))
        cursor.execute("SELECT current_setting('airlock.forms', true)")
        return str((cursor.fetchone() or ("",))[0] or "")

    taken = client.in_savepoint(cursor, ask) or ""
    return tuple(FORMS[int(number) - 1] for number in taken.split())


def forms_of(cursor: Any, column: Column, asked: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Ask once per type what it reads, unless it is known; `asked` remembers it."""
    element = column.full.removesuffix("[]")
    if values_of(element) or column.category == "S":
        return ()
    if element not in asked:
        asked[element] = forms_taken(cursor, element)
    return asked[element]
