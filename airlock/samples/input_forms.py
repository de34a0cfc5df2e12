"""What a type's own input function takes: asked of the server, for types of which nothing else is known."""

from __future__ import annotations

from typing import Any

from airlock.drivers import client
from airlock.samples.extension_types import FORMS

# One block for all forms, so that asking costs one round trip; each is read for the row numbers 1, 2 and 40.
_ASK = """
DO $airlock$
DECLARE
  forms text[] := %s;
  taken text := '';
  ok boolean;
BEGIN
  FOR number IN 1 .. array_length(forms, 1) LOOP
    BEGIN
      EXECUTE format('SELECT count(DISTINCT v::text) = 3 FROM (SELECT (%%s)::%%s AS v'
                     ' FROM unnest(''{1,2,40}''::bigint[]) AS i) AS t',
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
    """List the forms that the type `full` reads as three different values; () where PL/pgSQL is missing or none fits.

    Runs one read-only block in the caller's transaction, which goes on whatever it raises.
    """

    def ask() -> str:
        cursor.execute(_ASK, (list(FORMS), full))
        cursor.execute("SELECT current_setting('airlock.forms', true)")
        return str((cursor.fetchone() or ("",))[0] or "")

    taken = client.in_savepoint(cursor, ask) or ""
    return tuple(FORMS[int(number) - 1] for number in taken.split())
