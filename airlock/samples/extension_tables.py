"""Tables that belong to an extension: their digests, and rows as others may have put into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers import client, prepared
from airlock.samples.clones import copies, copies_beside
from airlock.samples.digests import DETAIL, TableDigest, by_key
from airlock.samples.fit import fit
from airlock.samples.plan import insert_sql, make_plan

if TYPE_CHECKING:
    from airlock.samples.digests import Digests
    from airlock.samples.model import Table

_TABLES = """
SELECT e.extname, c.oid::regclass::text, n.nspname, c.relname, u.condition
FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN unnest(e.extconfig, e.extcondition) AS u (table_oid, condition) ON u.table_oid = c.oid
WHERE c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1, 2"""
# Far from what a history numbers its rows with.
_FAR = 700_000


@dataclass(frozen=True, slots=True)
class ExtensionTable:
    """One of them: `spelled` as the session finds it, `condition` a WHERE that leaves out what the extension brought."""

    extension: str
    spelled: str
    label: str
    condition: str | None

    @property
    def name(self) -> str:
        """The name that it is compared by."""
        return f"{self.spelled} (of the extension {self.extension})"


def extension_tables(connection: client.Connection) -> tuple[ExtensionTable, ...]:
    """List them, in the caller's transaction."""
    with connection.cursor() as cursor:
        prepared.execute(connection, cursor, _TABLES)
        return tuple(
            ExtensionTable(extension, spelled, f"{plain(schema)}.{plain(name)}", condition)
            for extension, spelled, schema, name, condition in cursor.fetchall()
        )


def digest_extension_tables(connection: client.Connection) -> Digests:
    """Digest the rows of tables that belong to an extension, those that belong to the history one by one.

    An extension says which by `pg_extension_config_dump` (PostgreSQL manual, "Extension configuration tables"):
    pg_partman's configuration, say, and of spatial_ref_sys only the rows that PostGIS did not bring. Those that it brought are
    many, and told by one sum: created anew they are the same, and a step that edits one of them is seen. So are many rows of a
    table of which it says nothing.
    """
    found: Digests = {}
    tables = extension_tables(connection)
    with connection.cursor() as cursor:
        for one in tables:
            limit = f" LIMIT {DETAIL + 1}" if one.condition is None else ""
            query = f"SELECT t::text, t::text FROM {one.spelled} AS t {one.condition or ''} ORDER BY 1{limit}"
            cursor.execute(query.replace("%", "%%"))
            rows = cursor.fetchall()
            if limit and len(rows) > DETAIL:
                found[one.name] = _brought(cursor, one.spelled, "WHERE false")
                continue
            found[one.name] = TableDigest(("row",), ("row",), len(rows), rows=by_key(rows))
            if one.condition:
                name = f"{one.spelled} (brought by the extension {one.extension})"
                found[name] = _brought(cursor, one.spelled, one.condition)
    return found


def _brought(cursor: client.Cursor, table: str, condition: str) -> TableDigest:
    belong = f"SELECT t.ctid FROM {table} AS t {condition}"
    statement = f"SELECT count(*), sum(hashtextextended(b::text, 0)) FROM {table} AS b WHERE ctid <> ALL (ARRAY({belong}))"
    ((count, total),) = client.rows(cursor, statement.replace("%", "%%"))
    return TableDigest(("row",), ("row",), int(count), sums={"row": str(total)})


def rows_of_others(cursor: client.Cursor, table: Table, *, turn: int = 0) -> tuple[tuple[str, ...], ...]:
    """Spell INSERTs of rows as others may have put there: copies, rows whose keys are next to theirs, one made of its types.

    Asks the server which values its CHECKs let through, in the cursor's transaction. Of each group one may be taken where another
    is not; each `turn` has keys of its own.
    """
    start = _FAR + turn * 100
    plan = make_plan(table, {}, edges=False, nulls=False)
    made: tuple[str, ...] = ()
    if not plan.unknown and not plan.keys:
        fit(cursor, plan)
        made = (insert_sql(plan, start + 50, 1, {}, {}, skip=False),)
    beside = copies_beside(table)
    return ((beside,) if beside is not None else (), tuple(copies(table, start)), made)
