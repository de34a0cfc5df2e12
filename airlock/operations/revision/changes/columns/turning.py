"""The moment at which twins take the places of the columns they were made for, and the way back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import in_tablespace, listed, quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.columns.numbering import moved, numbers
from airlock.operations.revision.changes.columns.twin import not_null, sync, unsync
from airlock.operations.revision.changes.dependents import dropped, made
from airlock.operations.revision.changes.stepwise import name_the_not_null_of
from airlock.operations.revision.naming import beside_name, made_name, postgresql_name
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.operations.revision.written.docstrings import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airlock.catalogue.structure import Constraint, Index, Leaning, Table
    from airlock.operations.revision.changes.columns.needs import Remade, Swap

Keys = list[tuple["Table", "Constraint"]]


@dataclasses.dataclass
class Turn:
    """What turns in one table. `new` is spelt on the twins; `behind`: bodies of live indexes on the old columns' names."""

    live: Table
    swaps: Sequence[Swap]
    old: list[Constraint]
    old_indexes: list[Index]
    new: list[Constraint]
    new_indexes: list[Index]
    behind: Mapping[str, str]
    fits: list[Constraint]

    @property
    def enums(self) -> dict[str, Remade]:
        """Give the enums that take their names with these columns."""
        return {enum.name: enum for one in self.swaps for enum in one.enums}

    def without(self, name: str, *, live: bool) -> None:
        """Leave a foreign key to those who drop it and make it again."""
        group = self.old if live else self.new
        group[:] = [one for one in group if one.name != name]


def turned(turns: Sequence[Turn], old: Keys, new: Keys, leaning: Sequence[Leaning]) -> Part:
    """Turn the columns of a few tables in one transaction, with the foreign keys that lead to them, and `leaning`."""
    up: list[Sql] = [one for turn in turns for swap in turn.swaps for one in unsync(turn.live, swap.names)]
    up += [*dropped(leaning), *sql(*(_without(table, one) for table, one in old))]
    up += sql(*(text for one in _enums(turns) for text in one.turns))
    for turn in turns:
        up += sql(*_aside(turn), *_take(turn))
    up += sql(*(text for table, one in new for text in _again(table, one)))
    for turn in turns:
        for swap in turn.swaps:
            up += sync(
                turn.live,
                swap.names,
                swap.names.old,
                swap.names.column,
                swap.after.type,
                swap.before,
                swap.back,
            )
    up += made(leaning)
    columns = [turn.live.label_of(swap.names.column) for turn in turns for swap in turn.swaps]
    tables = sorted({turn.live.sql for turn in turns} | {table.sql for table, _ in (*old, *new)})
    kinds = ", ".join(dict.fromkeys(swap.becomes for turn in turns for swap in turn.swaps))
    return Part(
        Stage.SWAP, f"swap {joined(columns)} for {'its' if len(columns) == 1 else 'their'} {kinds} twin"
        + ("s" if len(columns) > 1 else ""),
        tuple(up), tuple(_back(turns, old, new, leaning)), own=True,
        locks=f"ACCESS EXCLUSIVE on {', '.join(tables)} for catalogue changes, no scan",
        undo="exact: the old column was kept equal; its indexes and constraints are made again without blocking,"
        " and refused where a value does not fit the old type",
    )  # fmt: skip


def _enums(turns: Sequence[Turn]) -> list[Remade]:
    return list({name: one for turn in turns for name, one in turn.enums.items()}.values())


def _without(table: Table, one: Constraint) -> str:
    return f"ALTER TABLE {table.sql} DROP CONSTRAINT {quoted(one.name)}"


def _again(table: Table, one: Constraint) -> list[str]:
    comment = [ddl.comment_on_constraint(table, one)] if one.comment is not None else []
    return [ddl.not_valid(table, one), *comment]


def _aside(turn: Turn) -> list[str]:
    live, table = turn.live, f"ALTER TABLE {turn.live.sql}"
    made = [_without(live, one) for one in turn.old]
    made += [f"DROP INDEX {ddl.in_schema(live, one.name)}" for one in turn.old_indexes]
    for swap in turn.swaps:
        old = quoted(swap.names.old)
        made.append(f"{table} RENAME COLUMN {quoted(swap.names.column)} TO {old}")
        if swap.before.not_null and swap.before.identity:
            # An identity needs NOT NULL until its numbers have gone over; the name is the twin's from now on.
            aside = made_name(live.name, swap.names.old, "not_null")
            made.append(name_the_not_null_of(live.sql, swap.names.old, aside))
        elif swap.before.not_null:
            made.append(f"{table} ALTER COLUMN {old} DROP NOT NULL")
        if swap.before.default is not None and not numbers(swap.before):
            made.append(f"{table} ALTER COLUMN {old} DROP DEFAULT")
    return made


def _take(turn: Turn) -> list[str]:
    live, table = turn.live, f"ALTER TABLE {turn.live.sql}"
    made: list[str] = []
    for swap in turn.swaps:
        names, after, column = swap.names, swap.after, quoted(swap.names.column)
        made.append(f"{table} RENAME COLUMN {quoted(names.new)} TO {column}")
        if after.default is not None and not numbers(after):
            made.append(f"{table} ALTER COLUMN {column} SET DEFAULT {after.default}")
        if after.not_null:
            made.append(f"{table} ALTER COLUMN {column} SET NOT NULL")
            made.append(f"{table} DROP CONSTRAINT {quoted(ddl.present(live, names.new))}")
        if numbers(after):
            made += moved(live, dataclasses.replace(swap.before, name=names.old), after)
            if swap.before.identity:
                made.append(f"{table} ALTER COLUMN {quoted(names.old)} DROP NOT NULL")
        made += [ddl.comment_on_column(live, after)] if after.comment is not None else []
        made += [grant.format(table=live.sql) for grant in swap.before.privileges]
    for one in turn.new:
        if one.kind in "cf":
            made.append(f"{table} RENAME CONSTRAINT {quoted(beside_name(one.name))} TO {quoted(one.name)}")
        else:
            using = ddl.using_index(one, beside_name(one.name))
            made.append(f"{table} ADD CONSTRAINT {quoted(one.name)} {using}")
        made += [ddl.comment_on_constraint(live, one)] if one.comment is not None else []
    for index in turn.new_indexes:
        beside = ddl.in_schema(live, beside_name(index.name))
        made.append(f"ALTER INDEX {beside} RENAME TO {quoted(index.name)}")
        made += [ddl.comment_on_index(live, index)] if index.comment is not None else []
    return made


def _back(turns: Sequence[Turn], old: Keys, new: Keys, leaning: Sequence[Leaning]) -> list[Sql]:
    """Make ready what the old columns need, each statement by itself; turn back at once; then validate."""
    first = [one for turn in turns for one in _ready(turn)]
    back: list[Sql] = [one for turn in turns for swap in turn.swaps for one in unsync(turn.live, swap.names)]
    back += [*dropped(leaning), *sql(*(_without(table, one) for table, one in new))]
    back += sql(*(text for one in _enums(turns) for text in one.turns_back))
    for turn in turns:
        back += sql(*_untake(turn), *_unaside(turn))
    back += sql(*(text for table, one in old for text in _again(table, one)))
    last: list[Sql] = []
    for turn in turns:
        for swap in turn.swaps:
            back += sync(
                turn.live,
                swap.names,
                swap.names.new,
                swap.names.column,
                swap.before.type,
                swap.after,
                swap.forth,
            )
            if swap.after.not_null:
                check = quoted(ddl.present(turn.live, swap.names.new))
                last += alone(f"ALTER TABLE {turn.live.sql} VALIDATE CONSTRAINT {check}")
        for one in turn.new:
            if one.kind not in "cf":
                last += ddl.index_again(turn.live, str(one.index), beside_name(one.name))
        last += _validated(turn.live, [one for one in turn.old if one.kind in "cf"])
    for table, one in old:
        last += _validated(table, [one])
    return [*first, *back, *made(leaning), *last]


def _validated(table: Table, group: list[Constraint]) -> tuple[Sql, ...]:
    return alone(
        *(f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {quoted(one.name)}" for one in group if one.valid)
    )


def _ready(turn: Turn) -> list[Sql]:
    made: list[Sql] = []
    for swap in turn.swaps:
        if swap.before.not_null:
            made += ddl.not_null_again(turn.live, swap.names.old)
    for one in turn.old:
        if one.index is not None:
            made += ddl.index_again(turn.live, _behind(turn, one.index), beside_name(one.name))
    for index in turn.old_indexes:
        text = in_tablespace(_behind(turn, index.definition), index.tablespace)
        made += ddl.index_again(turn.live, text, beside_name(index.name))
    return made


def _behind(turn: Turn, definition: str) -> str:
    head, _, body = definition.partition(" ON ")
    return listed(f"{head} ON {turn.behind.get(body, body)}")


def _untake(turn: Turn) -> list[str]:
    """Let the twins step back to where they were, but for key constraints: their indexes are built again."""
    live, table = turn.live, f"ALTER TABLE {turn.live.sql}"
    made: list[str] = []
    for one in turn.new:
        if one.kind in "cf":
            made.append(f"{table} RENAME CONSTRAINT {quoted(one.name)} TO {quoted(beside_name(one.name))}")
            made += [ddl.comment_on_constraint(live, _bare(one))] if one.comment is not None else []
        else:
            made.append(_without(live, one))
    for index in turn.new_indexes:
        made.append(f"ALTER INDEX {ddl.in_schema(live, index.name)} RENAME TO {quoted(_turning(index.name))}")
    for swap in turn.swaps:
        names, new, before, after = swap.names, quoted(swap.names.new), swap.before, swap.after
        column = quoted(names.column)
        made.append(f"{table} RENAME COLUMN {column} TO {new}")
        if after.default is not None and not numbers(after):
            made.append(f"{table} ALTER COLUMN {new} DROP DEFAULT")
        made += [f"COMMENT ON COLUMN {live.sql}.{new} IS NULL"] if after.comment is not None else []
        made.append(f"{table} RENAME COLUMN {quoted(names.old)} TO {column}")
        if numbers(before):
            made += moved(live, dataclasses.replace(after, name=names.new), before)
        elif before.default is not None:
            made.append(f"{table} ALTER COLUMN {column} SET DEFAULT {before.default}")
        if after.not_null:
            made.append(ddl.not_valid(live, not_null(live, names.new)))
            made.append(f"{table} ALTER COLUMN {new} DROP NOT NULL")
        if before.not_null:
            called = before.not_null_name or postgresql_name(live.name, names.column, "not_null")
            made.append(name_the_not_null_of(live.sql, names.column, called))
    return made


def _unaside(turn: Turn) -> list[str]:
    live, table = turn.live, f"ALTER TABLE {turn.live.sql}"
    made: list[str] = []
    for one in turn.old:
        if one.index is not None:
            made.append(
                f"{table} ADD CONSTRAINT {quoted(one.name)} {ddl.using_index(one, beside_name(one.name))}"
            )
            made += [ddl.comment_on_constraint(live, one)] if one.comment is not None else []
        else:
            made += _again(live, one)
    for index in turn.old_indexes:
        made.append(
            f"ALTER INDEX {ddl.in_schema(live, beside_name(index.name))} RENAME TO {quoted(index.name)}"
        )
        made += [ddl.comment_on_index(live, index)] if index.comment is not None else []
    for index in turn.new_indexes:
        turning = ddl.in_schema(live, _turning(index.name))
        made.append(f"ALTER INDEX {turning} RENAME TO {quoted(beside_name(index.name))}")
    return made


def _turning(name: str) -> str:
    return beside_name(beside_name(name))


def _bare(one: Constraint) -> Constraint:
    return dataclasses.replace(one, name=beside_name(one.name), comment=None)
