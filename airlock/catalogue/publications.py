"""Tables that logical replication publishes, and what a step changes of them that a subscriber must know of."""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING, Any

from airlock.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    # Runs one query, without parameters, on whichever connection.
    Query = Callable[[str], Sequence[Sequence[Any]]]

# Asked of the catalogue: an app's role may have no right to pglogical's schema, and must not fail for that.
_PGLOGICAL = """(SELECT count(*) = 2 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'pglogical' AND c.relname IN ('replication_set', 'replication_set_table')
    AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))"""
# A condition, true where anything is published at all.
ANY = f"(EXISTS (SELECT FROM pg_publication) OR {_PGLOGICAL})"
_IDENTITY = """CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false
    ELSE c.relkind = 'p' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
      AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END) END"""
# The columns of which a subscriber is sent the old values; NULL where nobody knows (a partitioned table without an index).
_KEY = """CASE c.relreplident WHEN 'f' THEN
      (SELECT json_agg(a.attnum)::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
    ELSE (SELECT json_agg(k)::text FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) AS k
      WHERE i.indrelid = c.oid AND i.indisvalid
        AND (c.relreplident = 'i' AND i.indisreplident OR c.relreplident = 'd' AND i.indisprimary)) END"""
_BY_SCHEMA = "SELECT to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL"
# The view pg_publication_tables locks each table it lists (measured on 18): it would wait behind any revision.
# What a partition's root is a member of, the partition is. Column lists are of 15 and later.
_PUBLISHED = """
SELECT c.oid::bigint, n.nspname, c.relname, p.pubname, p.pubupdate OR p.pubdelete,
  m.listed, m.filtered, c.relispartition AND coalesce(m.above, p.puballtables), coalesce(to_jsonb(p) ->> 'pubgencols', 'n') = 's',
  {identity}, {key}, c.relreplident = 'f'
FROM pg_publication p
JOIN pg_class c ON c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
LEFT JOIN LATERAL (
  SELECT to_jsonb(r) ->> 'prattrs' AS listed, to_jsonb(r) ->> 'prqual' IS NOT NULL AS filtered, r.prrelid <> c.oid AS above
  FROM pg_publication_rel r WHERE r.prpubid = p.oid
    AND (r.prrelid = c.oid OR c.relispartition AND r.prrelid IN (SELECT pg_partition_ancestors(c.oid)))
  ORDER BY r.prrelid <> c.oid LIMIT 1) m ON true
WHERE p.puballtables OR m.filtered IS NOT NULL{of_schema}
ORDER BY 2, 3, 4
"""
# Sets of pglogical (2.4): subscribers of the same kind, under tables of its own.
_SETS = """
SELECT c.oid::bigint, n.nspname, c.relname, {named}, s.replicate_update OR s.replicate_delete,
  (SELECT json_agg(a.attnum)::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY (r.set_att_list)),
  r.set_row_filter IS NOT NULL, false, false,
  {identity}, {key}, c.relreplident = 'f'
FROM pglogical.replication_set_table r JOIN pglogical.replication_set s USING (set_id)
JOIN pg_class c ON c.oid = r.set_reloid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 2, 3, 4
"""
_SET_NAMED = "'pglogical set ' || s.set_name"
_OF_SCHEMA = " OR EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = c.relnamespace)"
_COLUMNS = """
SELECT a.attrelid::bigint, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated <> ''
FROM pg_attribute a WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN ({}) ORDER BY 1, 2
"""


@dataclass
class Published:
    """One published table: who publishes it, which of its columns (None: all), and whether rows can be told apart."""

    name: str
    identity: bool
    publications: list[str] = field(default_factory=list)
    filtered: list[str] = field(default_factory=list)
    # Of those that send UPDATE or DELETE, which need the identity.
    changing: list[str] = field(default_factory=list)
    listed: frozenset[int] | None = frozenset()
    # The columns that tell its rows apart to a subscriber (None: not known), or whole old rows in their place.
    key: frozenset[int] | None = None
    whole: bool = False
    # A partition that is published with its root alone: what happens to its columns happens to the root's.
    below: bool = True
    # Whether columns that the server computes are sent too (18 and later, where a publication asks for it).
    generated: bool = False
    columns: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def mute(self) -> bool:
        """Tell whether UPDATE and DELETE on it fail: they are to be sent, and nothing tells its rows apart."""
        return bool(self.changing) and not self.identity

    @property
    def consequence(self) -> str:
        """Say what comes of that; pglogical lets the statement pass, and no subscriber finds the row."""
        if all(one.startswith("pglogical ") for one in self.changing):
            return "no subscriber can tell which row an UPDATE or DELETE is of"
        return "every UPDATE and DELETE on it fails"

    def __str__(self) -> str:
        """Name it with its publications, and what is special of it."""
        parts = [f"{one} (some rows)" if one in self.filtered else one for one in self.publications]
        said = f"{self.name} ({', '.join(parts)})"
        if self.listed is not None:
            said += ", columns " + ", ".join(
                self.columns[one][0] for one in sorted(self.listed & self.columns.keys())
            )
        if self.mute:
            said += f": NO REPLICA IDENTITY, {self.consequence}"
        return said


@dataclass(frozen=True)
class Publications:
    """Every publication's name, and every published table by oid."""

    names: frozenset[str] = frozenset()
    tables: Mapping[int, Published] = field(default_factory=dict)


def published(query: Query) -> Publications:
    """Read publications, their tables and the tables' columns. Reads the catalogue, locks no table."""
    # The fingerprint is loaded where something is published at all.
    from airlock.catalogue.fingerprint.model import plain

    names = [row[0] for row in query("SELECT pubname FROM pg_publication")]
    listed_rows: list[Sequence[Any]] = []
    if names:
        of_schema = _OF_SCHEMA if query(_BY_SCHEMA)[0][0] else ""
        listed_rows += query(_PUBLISHED.format(identity=_IDENTITY, key=_KEY, of_schema=of_schema))
    if query(f"SELECT {_PGLOGICAL}")[0][0]:
        names += [row[0] for row in query(f"SELECT {_SET_NAMED} FROM pglogical.replication_set s")]  # noqa: S608
        listed_rows += query(_SETS.format(identity=_IDENTITY, key=_KEY, named=_SET_NAMED))
    found: dict[int, Published] = {}
    for (
        oid,
        schema,
        table,
        publication,
        changing,
        listed,
        filtered,
        below,
        generated,
        identity,
        key,
        whole,
    ) in listed_rows:
        one = found.setdefault(oid, Published(f"{plain(schema)}.{plain(table)}", identity))
        one.below = one.below and below
        one.publications.append(publication)
        one.filtered += [publication] if filtered else []
        one.changing += [publication] if changing else []
        one.generated = one.generated or generated
        one.key, one.whole = frozenset(json.loads(key)) if key else None, whole
        if listed is None or one.listed is None:
            one.listed = None
        else:
            one.listed |= set(json.loads(listed))
    if found:
        for oid, number, name, kind, generated in query(_COLUMNS.format(", ".join(map(str, found)))):
            if found[oid].generated or not generated:
                found[oid].columns[number] = (name, kind)
    return Publications(frozenset(names), found)


def changes(before: Publications, after: Publications) -> Iterator[tuple[str, str]]:
    """Tell what a step has done to published tables, each as (table, sentence). What is not sent is passed over."""
    for oid, table in after.tables.items():
        old = before.tables.get(oid)
        if old is None:
            # A publication that the step itself makes has no subscriber yet.
            by = [one for one in table.publications if one in before.names]
            if by and not table.below:
                yield (
                    table.name,
                    f"{', '.join(by)} publishes it from now on: a subscriber needs the table, then REFRESH PUBLICATION",
                )
            if by:
                yield from _identity(table)
            continue
        if not table.below:
            yield from _columns(old, table)
        if old.identity:
            yield from _identity(table)
        yield from _key(old, table)
    for oid in sorted(before.tables.keys() - after.tables.keys()):
        yield (
            before.tables[oid].name,
            f"{', '.join(before.tables[oid].publications)} no longer publishes it: a subscriber's copy stays as it is",
        )


def _columns(old: Published, new: Published) -> Iterator[tuple[str, str]]:
    by = ", ".join(new.publications)
    for number in sorted(old.columns.keys() | new.columns.keys()):
        was, now = old.columns.get(number), new.columns.get(number)
        # A new column is on no list yet.
        sent = new.listed is None if was is None else old.listed is None or number in old.listed
        if was == now or not sent:
            continue
        if was is None and now is not None:
            told = f"adds {now[0]}: a subscriber of {by} must have the column first, or its apply stops"
        elif was is not None and now is None:
            told = (
                f"drops {was[0]}: a subscriber of {by} must lose the column last, and let it be NULL before"
            )
        elif was is not None and now is not None and was[0] != now[0]:
            told = f"renames {was[0]} to {now[0]}: a subscriber of {by} finds columns by name, and its apply stops"
        elif now is not None:
            told = f"makes {now[0]} {now[1]}: a subscriber of {by} must be able to read such values first"
        yield new.name, told


def _identity(table: Published) -> Iterator[tuple[str, str]]:
    if table.mute:
        by = ", ".join(table.changing)
        yield table.name, f"has no replica identity, and {by} publishes its changes: {table.consequence}"


def _key(old: Published, new: Published) -> Iterator[tuple[str, str]]:
    """Tell of another replica identity: a subscriber finds the row by its own key, of which it must be sent each column.

    Measured on PostgreSQL 18: its apply stops at the first UPDATE or DELETE, and all that comes behind waits. pglogical sends
    the whole row.
    """
    by = ", ".join(one for one in new.changing if not one.startswith("pglogical "))
    were, are = _names(old), _names(new)
    if not by or were is None or are is None or were <= are:
        return
    here = ", ".join(sorted(are))
    if old.whole:
        told = f"sends no whole old rows any more: a subscriber of {by} without the key {here}"
    else:
        there = ", ".join(sorted(were))
        told = f"tells its rows by {here}, no longer by {there}: a subscriber of {by} whose key is {there}"
    yield new.name, f"{told} stops at the first UPDATE or DELETE"


def _names(table: Published) -> set[str] | None:
    """Name the columns of its replica identity; None where they are not known."""
    if table.key is None or not (table.whole or table.key <= table.columns.keys()):
        return None
    return {table.columns[one][0] for one in table.key & table.columns.keys()}
