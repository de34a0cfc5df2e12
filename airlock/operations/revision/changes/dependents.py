"""What leans on a column besides its constraints and indexes goes over to the column that takes its place, or says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from airlock.catalogue.structure import VIEWS, Leaning, leaning, quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.naming import beside_name
from airlock.operations.revision.parts import Part, Sql, Stage, sql
from airlock.operations.revision.probe import rolled_back, run
from airlock.operations.revision.written.docstrings import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airlock.catalogue.structure import Table
    from airlock.operations.revision.changes.columns.needs import Swap
    from airlock.operations.revision.shadow import Sides

_ASIDE = "airlock_aside"


def leaning_on(sides: Sides, table: Table, columns: Iterable[str]) -> list[Leaning]:
    """List what leans on live columns, in the order in which it can be made. Reads the catalogue only."""
    return _leaning(sides, ((table, name) for name in columns))


def _leaning(sides: Sides, columns: Iterable[tuple[Table, str]]) -> list[Leaning]:
    given = [(sides.real[table.schema], table.name, name) for table, name in columns]
    home = sides.connection.dialect.default_schema_name or "public"
    return leaning(sides.connection, {real: key for key, real in sides.real.items()}, home, given)


def named(things: Iterable[Leaning]) -> str:
    """Name things for a sentence, with their verb."""
    return lean({one.label for one in things})


def lean(labels: Iterable[str]) -> str:
    """Name labels for a sentence, with their verb."""
    told = sorted(set(labels))
    return f"{', '.join(told)} {'leans' if len(told) == 1 else 'lean'}"


def in_the_way(sides: Sides, swap: Swap) -> str | None:
    """Say what does not go over to the column's twin; None where everything does. Tried in a savepoint, on the table itself."""
    things = leaning_on(sides, swap.live, [swap.before.name])
    stuck = [one for one in things if not one.make]
    if heirs := [one.label for one in stuck if one.kind == "table"]:
        verb = "inherits" if len(heirs) == 1 else "inherit"
        return (
            f"{joined(heirs)} {verb} the column, where no trigger of {swap.live.label} would keep a twin equal. ALTER TABLE …"
            " TYPE rewrites them together under ACCESS EXCLUSIVE: write it by hand, for an hour in which that may be"
        )
    if stuck:
        return f"{named(stuck)} on the column: drop it first, and make it again afterwards"
    column, table = quoted(swap.before.name), f"ALTER TABLE {swap.live.sql}"
    made: Leaning | None = None
    try:
        with rolled_back(sides.connection):
            for text in sides.coming:
                run(sides.connection, text)
            for enum in swap.enums:
                run(sides.connection, enum.create())
            run(sides.connection, f"{table} RENAME COLUMN {column} TO {_ASIDE}")
            run(sides.connection, f"{table} ADD COLUMN {column} {swap.after.spelt_type}")
            for text in (text for enum in swap.enums for text in enum.turns):
                run(sides.connection, text)
            for made in reversed(things):
                for text in made.drop:
                    run(sides.connection, text)
            for made in things:
                if made.kind in {"replica identity", "cluster"}:
                    # Their index is made again behind the column.
                    continue
                for text in (*made.make[:1], *made.indexes, *made.make[1:]):
                    run(sides.connection, text)
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).splitlines()[0].strip()
        return f"{made.label if made else 'what leans on the column'} cannot be made again on the new type ({reason})"
    return None


def with_the_table(sides: Sides, swaps: Iterable[Swap]) -> list[Leaning]:
    """List what goes over in the very transaction in which the columns turn: triggers, policies, publications, statistics."""
    columns = [(one.live, one.before.name) for one in swaps]
    return [one for one in _leaning(sides, columns) if one.kind not in VIEWS]


def dropped(things: Sequence[Leaning]) -> tuple[Sql, ...]:
    """Drop things, those first that lean on others."""
    return sql(*(text for one in reversed(things) for text in one.drop))


def made(things: Sequence[Leaning]) -> tuple[Sql, ...]:
    """Make things as they are."""
    return sql(*(text for one in things for text in (*one.make[:1], *one.indexes, *one.make[1:])))


def views(sides: Sides, swaps: Sequence[Swap]) -> Iterator[Part]:
    """Plan the views of columns that have turned: until here they show the old columns, which are kept equal."""
    now = [one for one in _leaning(sides, [(it.live, it.before.name) for it in swaps]) if one.kind in VIEWS]
    if not now:
        return
    with rolled_back(sides.connection):
        for text in sides.coming:
            run(sides.connection, text)
        for enum in {one.name: one for it in swaps for one in it.enums}.values():
            for text in (enum.create(), *enum.turns):
                run(sides.connection, text)
        for it in swaps:
            rename = f"RENAME COLUMN {quoted(it.names.column)} TO {quoted(it.names.old)}"
            run(sides.connection, f"ALTER TABLE {it.live.sql} {rename}")
        # The same things in the same order, as they read on the old columns.
        behind = [
            one for one in _leaning(sides, [(it.live, it.names.old) for it in swaps]) if one.kind in VIEWS
        ]
    held = [one.name for one in now if one.kind != "function"]
    waits = [one.name for one in now if one.kind == "materialized view" and not one.alone]
    locks = f"ACCESS EXCLUSIVE on {', '.join(held)}" if held else "none on tables"
    if waits:
        locks += f"; whoever reads {', '.join(waits)} waits while it is filled"
    yield Part(
        Stage.RETIRE, f"let {joined([one.label for one in now])} show {joined(_labels(swaps))} as it is now",
        _over(now), _over(behind), own=True, locks=f"{locks}, for a moment",
        undo="exact; definition, owner, grants, comments and indexes are made again",
    )  # fmt: skip


def _labels(swaps: Sequence[Swap]) -> list[str]:
    return [one.live.label_of(one.names.column) for one in swaps]


def _over(things: Sequence[Leaning]) -> tuple[Sql, ...]:
    """Fill materialized views beside the old ones first; then drop and make again, each under its name."""
    statements: list[str] = []
    for one in things:
        if one.alone:
            statements += [_create_beside(one), *(_index_beside(one, text) for text in one.indexes)]
    statements += [text for one in reversed(things) for text in one.drop]
    for one in things:
        if one.alone:
            beside = ddl.beside(one.name, beside_name(ddl.unqualified(one.name)))
            statements.append(
                f"ALTER {one.kind.upper()} {beside} RENAME TO {quoted(ddl.unqualified(one.name))}"
            )
            for text in one.indexes:
                name = ddl.unqualified(_index_name(one, text))
                place = ddl.beside(one.name, beside_name(name))
                statements.append(f"ALTER INDEX {place} RENAME TO {quoted(name)}")
            statements += one.make[1:]
        else:
            statements += [*one.make[:1], *one.indexes, *one.make[1:]]
    return sql(*statements)


def _create_beside(one: Leaning) -> str:
    what = f"CREATE MATERIALIZED VIEW {one.name}"
    beside = ddl.beside(one.name, beside_name(ddl.unqualified(one.name)))
    return f"CREATE MATERIALIZED VIEW {beside}" + one.make[0].removeprefix(what)


def _index_beside(one: Leaning, text: str) -> str:
    head, _, body = text.partition(f" ON {one.name} ")
    name = _index_name(one, text)
    beside = ddl.beside(one.name, beside_name(ddl.unqualified(one.name)))
    return f"{head.removesuffix(name)}{quoted(beside_name(ddl.unqualified(name)))} ON {beside} {body}"


def _index_name(one: Leaning, text: str) -> str:
    head = text.partition(f" ON {one.name} ")[0]
    return head.removeprefix("CREATE UNIQUE INDEX ").removeprefix("CREATE INDEX ")
