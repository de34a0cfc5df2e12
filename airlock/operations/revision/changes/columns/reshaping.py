"""A column that becomes several, or several that become one: beside each other, filled, then the old ones go.

What becomes what only a person knows: the expressions are stand-ins, each under a line to FILL IN.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.columns.dropping import held
from airlock.operations.revision.changes.stepwise import required, stand_in
from airlock.operations.revision.naming import made_name
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.operations.revision.written.questions import FILL_IN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airlock.catalogue.structure import Column, Structure, Table
    from airlock.operations.revision.changes.columns.needs import Changes
    from airlock.operations.revision.shadow import Sides

_TEXT = re.compile(r"text|character varying(?:\((\d+)\))?")


@dataclasses.dataclass(frozen=True)
class Reshaped:
    """Columns of a table, and those that take their place."""

    table: tuple[str, str]
    old: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def verb(self) -> str:
        """Say what is done."""
        return "split" if len(self.old) == 1 else "merge"


def reshaped(text: str, live: Structure, wanted: Structure) -> Reshaped:
    """Read `table.old=new,new` or `table.old,old=new`. Raises ValueError where a side lacks one of them."""
    left, equals, right = text.partition("=")
    names, new = left.split(","), tuple(right.split(","))
    if not equals or min(len(names), len(new)) != 1 or len(names) + len(new) < 3:
        raise ValueError(
            f"{text!r} is no split and no merge: shop.customer.name=first,last or shop.customer.first,last=name"
        )
    for key, table in live.tables.items():
        for label in (
            table.label,
            f"{table.schema or table.home}.{table.name}",
            *([] if table.schema else [table.name]),
        ):
            old = (names[0].removeprefix(f"{label}."), *names[1:])
            if names[0] == old[0] or key not in wanted.tables:
                continue
            there, then = wanted.tables[key].columns, table.columns
            lacking = [one for one in old if one not in then or one in there]
            lacking += [one for one in new if one not in there or one in then]
            if lacking:
                raise ValueError(
                    f"{text!r}: {', '.join(lacking)} does not go from the database, or does not come with the models"
                )
            return Reshaped(key, old, new)
    raise ValueError(f"{names[0]!r} is no column of a table that both the database and the models have")


def reshape(sides: Sides, live: Table, wanted: Table, one: Reshaped, found: Changes) -> None:
    """Plan columns that take the place of others: beside, kept in step by a trigger, filled, required; the others go last."""
    old, new = [live.columns[name] for name in one.old], [wanted.columns[name] for name in one.new]
    if any(held(sides, live, it, set(one.old), found) for it in old):
        return
    forth = {it.name: _made(sides, wanted, it, old, place, len(new)) for place, it in enumerate(new)}
    back = {it.name: _made(sides, live, it, new, place, len(old)) for place, it in enumerate(old)}
    named = made_name(live.name, *one.old, *one.new, "sync")
    keep, away = _kept_in_step(live, named, one, forth, back)
    table = f"ALTER TABLE {live.sql}"
    added = [f"ADD COLUMN {ddl.column(it, not_null=False, default=False)}" for it in new]
    olds, news = _listed(live, one.old), _listed(live, one.new)
    lock = f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan"
    come = sql(
        f"{table} {', '.join(added)}",
        *(ddl.comment_on_column(live, it) for it in new if it.comment is not None),
    )
    found.parts.append(
        Part(
            Stage.BESIDE, f"{one.verb} {olds} into {news}: add beside",
            (*come, *keep),
            (*away, *sql(f"{table} {', '.join(f'DROP COLUMN {quoted(name)}' for name in one.new)}")), own=True,
            locks=f"{lock}; a trigger writes either side from the other", undo=f"exact; what only {news} tell is gone",
        )
    )  # fmt: skip
    note = f"{FILL_IN}: how {olds} become {news}; the trigger of the revision before says the same."
    fill = _filled(live, forth, one.old, note)
    found.parts.append(
        Part(
            Stage.BACKFILL, f"fill {news} from {olds}", (fill,), (), own=True,
            locks=f"ROW EXCLUSIVE on {live.sql}, and the rows of one batch of {ddl.BATCH} until it is committed",
            undo="the structure is untouched; the values stay in the columns that the previous revision drops",
            loses=tuple((live.label_of(name), f"made from {olds}") for name in one.new),
        )
    )  # fmt: skip
    for it in new:
        if it.not_null:
            found.parts += required(live, it.name)
    found.parts.append(_gone(live, one, old, new, (away, keep), back))
    gone = {it.name for it in live.constraints.values() if set(one.old) & set(it.columns)}
    found.settled |= gone | {it.name for it in live.indexes.values() if set(one.old) & set(it.columns)}


def _gone(
    live: Table, one: Reshaped, old: Sequence[Column], new: Sequence[Column], steps: tuple[tuple[Sql, ...], tuple[Sql, ...]],
    back: dict[str, str],
) -> Part:  # fmt: skip
    """Drop the old columns; a downgrade makes them again, from those that took their place."""
    away, keep = steps
    table, columns = f"ALTER TABLE {live.sql}", set(one.old)
    defaults = _defaults(live, new)
    undone = [
        f"{table} ALTER COLUMN {quoted(it.name)} DROP DEFAULT"
        for it in new
        if it.default and not it.generated
    ]
    again = [
        f"{table} ADD COLUMN IF NOT EXISTS {ddl.column(it, not_null=False, default=False)}" for it in old
    ]
    again += _defaults(live, old)
    again += [ddl.comment_on_column(live, it) for it in old if it.comment is not None]
    again += [grant.format(table=live.sql) for it in old for grant in it.privileges]
    note = f"{FILL_IN}: how {_listed(live, one.new)} become {_listed(live, one.old)} again."
    down: list[Sql] = [
        *alone(*undone, *again),
        *(dataclasses.replace(it, autocommit=True) for it in keep),
        _filled(live, back, one.new, note),
    ]
    for it in old:
        down += ddl.not_null_again(live, it.name) if it.not_null else ()
    for constraint in live.constraints.values():
        down += ddl.constraint_again(live, constraint) if columns & set(constraint.columns) else ()
    for index in live.indexes.values():
        if columns & set(index.columns):
            down += ddl.index_again(live, index.text, index.name)
            down += alone(ddl.comment_on_index(live, index)) if index.comment is not None else ()
    drops = ", ".join(f"DROP COLUMN {quoted(name)}" for name in one.old)
    return Part(
        Stage.DROP, f"drop {_listed(live, one.old)}", (*away, *sql(f"{table} {drops}", *defaults)), tuple(down), own=True,
        locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan",
        undo=f"the structure exactly; the values are made from {_listed(live, one.new)}, as it is filled in",
        loses=tuple((live.label_of(name), f"its values; a downgrade makes them from {', '.join(one.new)}") for name in one.old),
    )  # fmt: skip


def _filled(live: Table, values: dict[str, str], sources: Sequence[str], note: str) -> Sql:
    """Fill columns that hold nothing yet from others that hold something."""
    empty = " AND ".join(f"{quoted(name)} IS NULL" for name in values)
    # Not an OR of each: the drill would want rows for each of its arms, which one value of the other side never fills alone.
    listed = ", ".join(map(quoted, sources))
    some = f"num_nonnulls({listed}) > 0" if len(sources) > 1 else f"{listed} IS NOT NULL"
    given = ", ".join(f"{quoted(name)} = {text}" for name, text in values.items())
    return ddl.backfill(live, given, f"{empty} AND {some}", note=note)


def _defaults(live: Table, columns: Sequence[Column]) -> list[str]:
    return [
        f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(it.name)} SET DEFAULT {it.default}"
        for it in columns
        if it.default and not it.generated
    ]


def _kept_in_step(
    live: Table, name: str, one: Reshaped, forth: dict[str, str], back: dict[str, str]
) -> tuple[tuple[Sql, ...], tuple[Sql, ...]]:
    """Write either side from the other, for code that knows the old columns only or the new ones only; and stop that.

    Whoever fills one side with what the other becomes has written nothing that the other side lacks: no trigger fires.
    """
    made: list[Sql] = []
    gone: list[str] = []
    note = f"{FILL_IN}: how {_listed(live, one.old)} become {_listed(live, one.new)}, and back: these are stand-ins."
    some = " OR ".join(f"NEW.{quoted(it)} IS NOT NULL" for it in one.new)
    for word, values, sources, targets, given in (
        ("forth", forth, one.old, back, f"NOT ({some})"), ("back", back, one.new, forth, some),
    ):  # fmt: skip
        function = ddl.in_schema(live, made_name(name, word))
        body = " ".join(f"NEW.{quoted(it)} := {_of_new(text, sources)};" for it, text in values.items())
        head = f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql"
        text = f"{head} AS $sync$BEGIN {body} RETURN NEW; END$sync$"
        made.append(Sql(text, note=note if word == "forth" else None))
        changed = " OR ".join(f"NEW.{quoted(it)} IS DISTINCT FROM OLD.{quoted(it)}" for it in sources)
        have = ", ".join(f"NEW.{quoted(it)}" for it in targets)
        becomes = ", ".join(_of_new(it, values) for it in targets.values())
        columns = ", ".join(quoted(it) for it in sources)
        for event, when in (
            ("INSERT", given), (f"UPDATE OF {columns}", f"({changed}) AND ({have}) IS DISTINCT FROM ({becomes})"),
        ):  # fmt: skip
            trigger = quoted(made_name(name, word, event[:6].lower()))
            made += sql(
                f"CREATE OR REPLACE TRIGGER {trigger} BEFORE {event} ON {live.sql}"
                f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {function}()"
            )
            gone.append(f"DROP TRIGGER {trigger} ON {live.sql}")
        gone.append(f"DROP FUNCTION {function}()")
    return tuple(made), sql(*gone)


def _of_new(text: str, columns: Iterable[str]) -> str:
    """Read the columns of an expression from the row that is written."""
    for name in columns:
        text = re.sub(
            rf"(?<![\w.\"]){re.escape(quoted(name))}(?![\w\"])", lambda found: f"NEW.{found[0]}", text
        )
    return text


def _made(sides: Sides, table: Table, one: Column, others: Sequence[Column], place: int, count: int) -> str:
    """Choose a stand-in: words of one text, several texts in a row, else the value of the first of the same type."""
    kind = _TEXT.fullmatch(one.type)
    texts = [quoted(it.name) for it in others if _TEXT.fullmatch(it.type)]
    value: str | None = None
    if kind and texts and len(others) == 1:
        value = f"split_part({texts[0]}, ' ', {place + 1})"
        if place + 1 == count:
            value = f"substr({texts[0]}, length(split_part({texts[0]}, ' ', 1)) + 2)" if count == 2 else value
    elif kind and texts:
        value = f"concat_ws(' ', {', '.join(texts)})"
    else:
        value = next((quoted(it.name) for it in others if it.type == one.type), None)
    if value is None:
        return stand_in(sides, table, one) if one.not_null else f"NULL::{one.type}"
    return f"left({value}, {kind[1]})" if kind and kind[1] else value


def _listed(live: Table, names: Sequence[str]) -> str:
    return " and ".join(live.label_of(name) for name in names)
