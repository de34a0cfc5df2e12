"""A column that becomes generated, or stops being so."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.dependents import dropped, leaning_on, named
from airlock.operations.revision.changes.dependents import made as made_again
from airlock.operations.revision.naming import beside_name, made_name
from airlock.operations.revision.parts import Part, Sql, Stage, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from airlock.catalogue.structure import Column, Table
    from airlock.operations.revision.changes.columns.needs import Changes
    from airlock.operations.revision.shadow import Sides


def _only_down(live: Table) -> tuple[tuple[str, str], ...]:
    return (
        (f"rewrite {live.found_as}", "only the downgrade rewrites; a generated column has no other form"),
    )


def _given(live: Table, column: Column) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Spell a trigger that gives a column which was generated its value in rows written without one, and its end.

    Code of the release below cannot name the column: it inserts rows without it, and updates what it is made of. A value
    that is not the one that was generated is code's own, and stays.
    """
    name = made_name(live.name, column.name, "given")
    function, trigger, here = ddl.in_schema(live, name), quoted(name), quoted(column.name)
    new, old = (f"(SELECT {column.default} FROM (SELECT {row}.*) AS here)" for row in ("NEW", "OLD"))
    kept = f"NEW.{here} IS NOT DISTINCT FROM OLD.{here} AND OLD.{here} IS NOT DISTINCT FROM {old}"
    body = f"IF (CASE TG_OP WHEN 'INSERT' THEN NEW.{here} IS NULL ELSE {kept} END) THEN NEW.{here} := {new}; END IF;"
    made = (
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $given$BEGIN {body} RETURN NEW; END$given$"
    )
    called = (
        f"CREATE OR REPLACE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {live.sql} FOR EACH ROW"
        f" EXECUTE FUNCTION {function}()"
    )
    return (made, called), (f"DROP TRIGGER {trigger} ON {live.sql}", f"DROP FUNCTION {function}()")


def _kept(live: Table, column: Column) -> list[str]:
    """Spell a plain column in the place of a virtual one, which stores no value that it could keep: filled from it."""
    alter, name, beside = (
        f"ALTER TABLE {live.sql}",
        quoted(column.name),
        beside_name(column.name, live.columns),
    )
    made = [
        f"{alter} ADD COLUMN {ddl.column(dataclasses.replace(column, name=beside), not_null=False)}",
        f"UPDATE {live.sql} SET {quoted(beside)} = {name}",
        f"{alter} DROP COLUMN {name}",
        f"{alter} RENAME COLUMN {quoted(beside)} TO {name}",
    ]
    return made + ([f"{alter} ALTER COLUMN {name} SET NOT NULL"] if column.not_null else [])


def _respelt(sides: Sides, live: Table, wanted: Table, before: Column, after: Column) -> bool:
    """Tell whether the expression is another one only because PostgreSQL spells it on other types of its columns."""
    others = [
        wanted.columns[name] for name, one in live.columns.items()
        if name in wanted.columns and name != after.name and one.spelt_type != wanted.columns[name].spelt_type
    ]  # fmt: skip
    if not others or before.generated != after.generated or before.spelt_type != after.spelt_type:
        return False
    again = [f"DROP COLUMN {quoted(one.name)} CASCADE" for one in others]
    again += [f"ADD COLUMN {quoted(one.name)} {one.spelt_type}" for one in others]
    probe = sides.probe(live, f"DROP COLUMN {quoted(after.name)}", *again, f"ADD COLUMN {ddl.column(before)}")
    return probe.refused is None and probe.default == after.default


def generated(
    sides: Sides, live: Table, wanted: Table, before: Column, after: Column, found: Changes
) -> None:
    """Make a column generated, or generated otherwise. No form of it spares the rewrite but making it plain, or virtual.

    Nothing for one that goes on with columns of another type, or keeps them as they are.
    """
    if _respelt(sides, live, wanted, before, after):
        return
    things = leaning_on(sides, live, [after.name])
    if stuck := [one for one in things if not one.make]:
        what = f"the models generate it otherwise, and {named(stuck)} on it"
        found.remarks.append(
            Remark(live.label_of(after.name), f"{what}: drop that first, and make it again afterwards")
        )
        return
    name, label = quoted(after.name), live.label_of(after.name)
    lock = f"ACCESS EXCLUSIVE on {live.sql}"

    def replaced(column: Column, table: Table, *, keeping: bool = False) -> tuple[Sql, ...]:
        alter = f"ALTER TABLE {live.sql}"
        made = [f"{alter} DROP COLUMN {name}", f"{alter} ADD COLUMN {ddl.column(column)}"]
        if keeping:
            made = _kept(live, column)
        made += [
            f"{alter} ADD CONSTRAINT {quoted(one.name)} {one.text}"
            for one in table.constraints.values()
            if after.name in one.columns
        ]
        made += [one.text for one in table.indexes.values() if after.name in one.columns]
        made += [ddl.comment_on_column(live, column)] if column.comment is not None else []
        return (*dropped(things), *sql(*made), *made_again(things))

    touched = {
        one.name for it in (live, wanted) for one in it.constraints.values() if after.name in one.columns
    }
    touched |= {one.name for it in (live, wanted) for one in it.indexes.values() if after.name in one.columns}
    if before.generated == "s" and not after.generated:
        alter = f"ALTER TABLE {live.sql} ALTER COLUMN {name}"
        giving, gone = _given(live, before)
        default = [] if after.default is None else [f"{alter} SET DEFAULT {after.default}"]
        undone = [f"{alter} DROP DEFAULT"] if default else []
        found.parts.append(
            Part(
                Stage.EXPAND, f"make {label} a plain column", sql(f"{alter} DROP EXPRESSION", *giving),
                (*sql(*gone), *replaced(before, live)), own=True,
                locks=f"{lock} for a moment, no scan; rows that are written without a value get what it was generated from",
                undo=f"exact, but it rewrites {live.label} under ACCESS EXCLUSIVE: a generated column has no other form",
                accepted=_only_down(live),
            )
        )  # fmt: skip
        found.parts.append(
            Part(
                Stage.RETIRE, f"generate the values of {label} no longer", sql(*gone, *default), sql(*undone, *giving),
                locks=f"{lock} for a moment, no scan",
            )
        )  # fmt: skip
        return
    found.settled |= touched
    plain_now = not after.generated
    up = replaced(after, wanted, keeping=plain_now)
    down = replaced(before, live)
    what = f"generate {label}{' otherwise' if before.generated else ''}"
    bound = after.not_null or any(after.name in one.columns for one in wanted.constraints.values())
    if after.generated == "v" and not bound:
        found.parts.append(
            Part(
                Stage.DROP, what, up, down, own=True, locks=f"{lock} for a moment, no scan: the values are not stored",
                undo=f"exact, but it rewrites {live.label} under ACCESS EXCLUSIVE" if before.generated == "s"
                else "exact; nothing is lost" if before.generated else "the structure exactly; the values are lost",
                loses=() if before.generated else ((label, "its values: the expression takes their place"),),
                accepted=_only_down(live) if before.generated == "s" else (),
            )
        )  # fmt: skip
        return
    found.parts.append(
        Part(
            Stage.DROP, f"make {label} a plain column" if plain_now else what, up, down, own=True,
            locks=f"{lock} while the whole table is {'filled' if plain_now else 'rewritten'}. Nobody reads or writes meanwhile",
            undo="the structure exactly, rewriting the table again; values that were not generated are lost",
            loses=() if before.generated else ((label, "its values: the expression takes their place"),),
        )
    )  # fmt: skip
    found.remarks.append(
        Remark(
            label,
            "a virtual column that becomes a plain one has the table filled under ACCESS EXCLUSIVE"
            if plain_now
            else "a generated column that comes or changes rewrites the table under ACCESS EXCLUSIVE",
        )
    )
