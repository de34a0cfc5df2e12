"""Tables of the models that inherit from others: each side has what is theirs by themselves; parents that come."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision.ddl import unqualified
from airlock.operations.revision.parts import Part, Stage, sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import sqlalchemy as sa

    from airlock.catalogue.structure import Column, Structure, Table


def own(
    live: Structure, wanted: Structure, inheriting: Iterable[sa.Table], default: str
) -> tuple[Structure, Structure]:
    """Give the models' heirs their parents, and leave columns that follow a table above to that one, on both sides.

    What a table that is there has to have before it can inherit, its side of the models has as its own.
    """
    there, made = dict(live.tables), dict(wanted.tables)
    for model in inheriting:
        key = (model.schema or "", model.name)
        if key not in made and model.schema == default:
            key = ("", model.name)
        above = model.dialect_options["postgresql"]["inherits"]
        names = [above] if isinstance(above, str) else list(above)
        made[key] = dataclasses.replace(made[key], parents=tuple(map(quoted, names)))
    heirs = {key: one for key, one in made.items() if one.parents}
    for key in heirs.keys() & there.keys():
        following = {one.name for one in there[key].columns.values() if one.inherited}
        coming = [] if _go(there[key], heirs[key]) else _come(there[key], heirs[key])
        for parent in coming:
            made[key] = _as_heir(made[key], there[key], made, parent)
        rules = _rules_above(there, there[key])
        there[key], made[key] = (_without(side[key], following, rules) for side in (there, made))
    return dataclasses.replace(live, tables=there), dataclasses.replace(wanted, tables=made)


def changes(live: Table, wanted: Table) -> Iterator[Part]:
    """Plan the parents that a table gets, last of all: by then it has what they have. Those that it loses are said."""
    if not _go(live, wanted):
        for parent in _come(live, wanted):
            yield Part(
                Stage.LAST, f"let {live.label} inherit from {parent}", sql(f"ALTER TABLE {live.sql} INHERIT {parent}"),
                sql(f"ALTER TABLE {live.sql} NO INHERIT {parent}"),
                locks=f"ACCESS EXCLUSIVE on {live.sql} and SHARE UPDATE EXCLUSIVE on {parent} for a moment, no scan",
                undo="exact; nothing is lost",
            )  # fmt: skip


def stays(live: Table, wanted: Table) -> str:
    """Say of a table that is to leave one it inherits from why that is not written; empty where it is to leave none."""
    if not (gone := _go(live, wanted)):
        return ""
    return (
        f"it inherits from {', '.join(live.parents)}, in the models from {', '.join(wanted.parents)}: behind NO INHERIT its"
        f" columns are its own, and no INHERIT makes them {gone[0]}'s again, so that has no exact way back: write it by hand"
    )


def _come(live: Table, wanted: Table) -> list[str]:
    return _beyond(wanted.parents, live.parents)


def _go(live: Table, wanted: Table) -> list[str]:
    return _beyond(live.parents, wanted.parents) if wanted.parents else []


def _beyond(some: Iterable[str], others: Iterable[str]) -> list[str]:
    """List names that others lack; models say them without a schema."""
    known = {unqualified(one) for one in others}
    return [one for one in some if unqualified(one) not in known]


def _as_heir(table: Table, live: Table, made: dict[tuple[str, str], Table], parent: str) -> Table:
    """Give a table the columns and CHECKs that tables above it have, as its own; what numbers its rows stays as it is."""
    name = unqualified(parent)
    above = next((made[key] for key in ((table.schema, name), ("", name)) if key in made), None)
    if above is None or above.sql == table.sql:
        return table
    for one in above.parents:
        above = _as_heir(above, live, {key: it for key, it in made.items() if it.sql != table.sql}, one)
    checks = {name: one for name, one in above.constraints.items() if one.kind == "c"}
    columns = {name: _inherited(one, live.columns.get(name)) for name, one in above.columns.items()}
    required = {name for name, one in above.columns.items() if one.not_null}
    said = {
        name: dataclasses.replace(one, not_null=one.not_null or name in required)
        for name, one in table.columns.items()
    }
    return dataclasses.replace(
        table, columns={**columns, **said}, constraints={**checks, **table.constraints}
    )


def _inherited(above: Column, live: Column | None) -> Column:
    if live is not None:
        return dataclasses.replace(
            live, type=above.type, collation=above.collation, not_null=live.not_null or above.not_null
        )
    default = None if above.sequence is not None else above.default
    return dataclasses.replace(above, identity="", sequence=None, default=default, not_null_name=None)


def _rules_above(tables: dict[tuple[str, str], Table], table: Table) -> set[str]:
    """Name the CHECKs that a table has from those that it inherits from, whether it has them by itself as well or not."""
    above = [one for one in tables.values() if one.sql in table.parents and one is not table]
    own_ = {name for one in above for name, it in one.constraints.items() if it.kind == "c"}
    return own_.union(*(_rules_above(tables, one) for one in above))


def _without(table: Table, columns: set[str], rules: set[str]) -> Table:
    kept = {name: one for name, one in table.columns.items() if name not in columns}
    constraints = {
        name: one for name, one in table.constraints.items() if one.kind != "c" or name not in rules
    }
    return dataclasses.replace(table, columns=kept, constraints=constraints)


def parents_first(tables: Sequence[Table]) -> list[Table]:
    """Order tables that are made: those above come before their heirs."""
    left, ordered = list(tables), []
    while left:
        waiting = {one.sql for one in left}
        # The server knows no circle of heirs.
        free = [one for one in left if not waiting & set(one.parents)] or left
        ordered += free
        left = [one for one in left if one not in free]
    return ordered
