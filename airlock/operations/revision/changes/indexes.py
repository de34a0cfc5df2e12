"""Changes of indexes of a table that exists on both sides: built and dropped CONCURRENTLY."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.naming import beside_name
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airlock.catalogue.structure import Index, Table
    from airlock.operations.revision.changes.columns import Changes


def changes(live: Table, wanted: Table, columns: Changes) -> Iterator[Part]:
    """Plan the indexes, but for those that the columns' own changes have settled."""

    def body(one: Index) -> tuple[bool, str]:
        return one.unique, columns.respelt.get(one.body, one.body)

    old = {name: one for name, one in live.indexes.items() if name not in columns.settled}
    new = {name: one for name, one in wanted.indexes.items() if name not in columns.settled}
    if live.partition_key is not None:
        columns.remarks += _partitioned(live, old, new)
        return
    for name in sorted(old.keys() & new.keys()):
        before, after = old.pop(name), new.pop(name)
        if body(before) != (after.unique, after.body) or _moved(before, after):
            if live.tells_by(name) and not tells(wanted, after.body, after.columns, unique=after.unique):
                columns.remarks.append(held(live, f"index {ddl.in_schema(live, name)}"))
                continue
            yield _replaced(live, before, after)
        elif not before.valid:
            yield Part(
                Stage.INDEX, f"build index {ddl.in_schema(live, name)} again, it is INVALID",
                ddl.index_again(live, after.text, name), (), own=True, undo="nothing to undo: the index stays, valid",
                locks=_building(live),
            )  # fmt: skip
        elif before.comment != after.comment:
            yield _comment(live, before, after)
    for name, after in sorted(new.items()):
        same = next(
            (
                one
                for _, one in sorted(old.items())
                if body(one) == (after.unique, after.body) and one.valid and not _moved(one, after)
            ),
            None,
        )
        if same is not None:
            del old[same.name], new[name]
            yield Part(
                Stage.EXPAND, f"rename index {ddl.in_schema(live, same.name)} to {name}",
                sql(f"ALTER INDEX {ddl.in_schema(live, same.name)} RENAME TO {quoted(name)}"),
                sql(f"ALTER INDEX {ddl.in_schema(live, name)} RENAME TO {quoted(same.name)}"),
                locks="SHARE UPDATE EXCLUSIVE on the index",
            )  # fmt: skip
            if same.comment != after.comment:
                yield _comment(live, dataclasses.replace(same, name=name), after)
    for one in old.values():
        if live.tells_by(one.name):
            columns.remarks.append(held(live, f"index {ddl.in_schema(live, one.name)}"))
            continue
        comment = alone(ddl.comment_on_index(live, one)) if one.comment is not None else ()
        yield Part(
            Stage.RETIRE, f"drop index {ddl.in_schema(live, one.name)}", ddl.index_away(live, one.name),
            ddl.index_again(live, one.text, one.name) + comment + alone(*live.marked(one.name, one.name)), own=True,
            locks=f"SHARE UPDATE EXCLUSIVE on {live.sql}; it waits for transactions that use the index",
        )  # fmt: skip
    for one in new.values():
        comment = alone(ddl.comment_on_index(live, one)) if one.comment is not None else ()
        yield Part(
            Stage.INDEX, f"index {ddl.in_schema(live, one.name)}",
            ddl.index_again(live, one.text, one.name) + comment, ddl.index_away(live, one.name), own=True,
            locks=_building(live), undo="exact, without blocking; nothing is lost",
        )  # fmt: skip


def tells(table: Table, body: str, columns: Iterable[str], *, unique: bool) -> bool:
    """Tell whether an index may be a replica identity: each row has a value in it, and no other row has the same."""
    plain = {quoted(name) for name, one in table.columns.items() if one.not_null}
    return unique and " WHERE " not in body and {*map(quoted, columns)} <= plain


def held(live: Table, what: str) -> Remark:
    """Say of an index that the table tells its rows by why it stays."""
    return Remark(
        what,
        f"it is the replica identity of {live.label}, and the models have none in its place: set another one first",
    )


def _moved(before: Index, after: Index) -> bool:
    """Tell whether the models say a tablespace that the index is not in; where they say none, it stays where it is."""
    return after.tablespace not in {None, before.tablespace}


def _partitioned(live: Table, old: dict[str, Index], new: dict[str, Index]) -> Iterator[Remark]:
    """Say what is to be done by hand: nothing is built or dropped CONCURRENTLY on a partitioned table."""
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before is None or after is None or (before.unique, before.body) != (after.unique, after.body):
            what = (
                "build it ON ONLY the table, then CONCURRENTLY on each partition, then ATTACH"
                if after
                else "drop it"
            )
            yield Remark(
                f"index {ddl.in_schema(live, name)}",
                f"{live.label} is partitioned, and its indexes are not built or dropped CONCURRENTLY: {what} by hand",
            )


def _building(live: Table) -> str:
    return (
        f"SHARE UPDATE EXCLUSIVE on {live.sql} while the index is built: reads and writes go on; it waits for"
        " transactions older than itself"
    )


def _comment(live: Table, before: Index, after: Index) -> Part:
    return Part(
        Stage.SWAP, f"comment on index {ddl.in_schema(live, after.name)}", sql(ddl.comment_on_index(live, after)),
        sql(ddl.comment_on_index(live, before)), locks="SHARE UPDATE EXCLUSIVE on the index",
    )  # fmt: skip


def _replaced(live: Table, before: Index, after: Index) -> Part:
    """Build the new one beside the old, and let it take the name: queries are never without one."""

    def taken(one: Index) -> tuple[Sql, ...]:
        beside = beside_name(one.name)
        comment = sql(ddl.comment_on_index(live, one)) if one.comment is not None else ()
        return (
            *ddl.index_again(live, one.text, beside),
            *alone(*live.marked(one.name, beside)),
            *ddl.index_away(live, one.name),
            *sql(f"ALTER INDEX {ddl.in_schema(live, beside)} RENAME TO {quoted(one.name)}"),
            *comment,
        )

    return Part(
        Stage.INDEX, f"replace index {ddl.in_schema(live, before.name)}", taken(after), taken(before), own=True,
        locks=_building(live), undo="exact, without blocking; nothing is lost",
    )  # fmt: skip
