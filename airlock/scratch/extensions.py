"""Let the ordinary owner of a scratch database create the extensions that only a superuser may.

Hosted PostgreSQL lets an ordinary role create the extensions of a list; airlock's own servers let it create any that
their files hold. While `CREATE EXTENSION` runs, and only then, its role is a superuser: two event triggers set that and
take it back in the same transaction, so that no other session ever sees it, and a failure undoes it. What an extension's
script says to extensions itself (cube's updates say ALTER EXTENSION) is part of the statement that runs it: they count how deep
they are. The functions and
languages that come with the extension go to the server's administrator, as they do for an extension that is marked
trusted (PostgreSQL manual, "Extension files", `trusted`). Extensions that lead out of the server are refused as ever: those
with a foreign-data wrapper or an untrusted language, and the few that are named here.

Used on servers that airlock starts and throws away, never on one that a user names.
"""

from __future__ import annotations

import re
from typing import Any

from airlock.database import missing

# Their functions connect to other servers, run programs or write files.
OUTWARD = ("dblink", "plproxy", "pglogical", "adminpack", "pg_cron", "pgagent", "mimeo", "plsh")
# Wrappers of foreign data, and languages that nobody but a superuser is trusted with, by how they are named.
_OUTWARD_BY_NAME = re.compile(r"\w+_fdw|pl\w+u")
EVENT_TRIGGERS = ("airlock_extension_begins", "airlock_extension_ends")

_BEGIN = """
CREATE OR REPLACE FUNCTION pg_catalog.airlock_extension_begins() RETURNS event_trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $body$
DECLARE
  creator text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
  within int := coalesce(nullif(current_setting('airlock.within', true), ''), '0');
BEGIN
  PERFORM set_config('airlock.within', (within + 1)::text, true);
  IF within > 0 THEN
    RETURN;
  END IF;
  PERFORM set_config('airlock.creator', '', true);
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = creator) THEN
    PERFORM set_config('airlock.creator', creator, true);
    EXECUTE format('ALTER ROLE %I SUPERUSER', creator);
  END IF;
END
$body$
"""
_END = """
CREATE OR REPLACE FUNCTION pg_catalog.airlock_extension_ends() RETURNS event_trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $body$
DECLARE
  creator text := current_setting('airlock.creator', true);
  within int := current_setting('airlock.within', true)::int - 1;
  member record;
BEGIN
  PERFORM set_config('airlock.within', within::text, true);
  IF within > 0 OR creator = '' THEN
    RETURN;
  END IF;
  FOR member IN
    SELECT e.extname FROM pg_extension e
    WHERE e.extowner = creator::regrole AND (e.extname = ANY (ARRAY[{outward}]) OR EXISTS (
      SELECT FROM pg_depend d
      WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        AND (d.classid = 'pg_foreign_data_wrapper'::regclass
          OR d.objid IN (SELECT l.oid FROM pg_language l WHERE NOT l.lanpltrusted AND d.classid = 'pg_language'::regclass))))
  LOOP
    RAISE insufficient_privilege USING MESSAGE = format('permission denied to create extension "%s"', member.extname),
      DETAIL = '{leads}';
  END LOOP;
  FOR member IN
    SELECT CASE WHEN d.classid = 'pg_proc'::regclass THEN
             (SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' WHEN 'a' THEN 'AGGREGATE ' ELSE 'FUNCTION ' END
                || p.oid::regprocedure FROM pg_proc p WHERE p.oid = d.objid)
             ELSE (SELECT 'LANGUAGE ' || quote_ident(l.lanname) FROM pg_language l WHERE l.oid = d.objid) END AS name
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extowner = creator::regrole
      AND ((d.classid = 'pg_proc'::regclass
            AND (SELECT p.proowner = creator::regrole FROM pg_proc p WHERE p.oid = d.objid))
        OR (d.classid = 'pg_language'::regclass
            AND (SELECT l.lanowner = creator::regrole FROM pg_language l WHERE l.oid = d.objid)))
  LOOP
    EXECUTE format('ALTER %s OWNER TO %I', member.name, current_user);
  END LOOP;
  EXECUTE format('ALTER ROLE %I NOSUPERUSER', creator);
  PERFORM set_config('airlock.creator', '', true);
END
$body$
"""


def leads_out(name: str) -> bool:
    """Tell by an extension's name whether a scratch server refuses it."""
    return name in OUTWARD or _OUTWARD_BY_NAME.fullmatch(name) is not None


def allow_extensions(cursor: Any) -> None:
    """Install the two event triggers in the database of a superuser's autocommit cursor; databases copied from it have them.

    Writes two functions into pg_catalog, where no comparison looks.
    """
    outward = ", ".join(f"'{name}'" for name in OUTWARD)
    for name, body, event in zip(
        EVENT_TRIGGERS,
        (_BEGIN, _END.replace("{outward}", outward).replace("{leads}", missing.OUTWARD)),
        ("ddl_command_start", "ddl_command_end"),
        strict=True,
    ):
        cursor.execute(body)
        cursor.execute(f"DROP EVENT TRIGGER IF EXISTS {name}")
        cursor.execute(
            f"CREATE EVENT TRIGGER {name} ON {event} WHEN TAG IN ('CREATE EXTENSION', 'ALTER EXTENSION') "
            f"EXECUTE FUNCTION pg_catalog.{name}()"
        )
