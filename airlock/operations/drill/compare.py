"""Hold two states against each other, and tell a fault from what a revision says it keeps."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from airlock import samples
from airlock.catalogue import fingerprint
from airlock.catalogue.fingerprint.model import plain
from airlock.operations.drill import comparisons
from airlock.records.difference import Difference
from airlock.records.drill import Kept

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from airlock.operations.drill.state import State
    from airlock.records.drill import Broken, Cut
    from airlock.records.rows import RowDifference

# What a sequence gives next above an upgrade is no difference behind its downgrade.
ABOVE = "next value after the upgrade"
_DIGITS = r"-?\d+(?:\.\d+)?"
# A list that is cast as a whole, as `v IN ('a', 'b')` is of a varchar; a member of it.
_MEMBER = re.compile(r"'(?:[^']|'')*'::[a-z ]+")
_CAST_LIST = re.compile(rf"\(\(ARRAY\[((?:{_MEMBER.pattern}(?:, )?)+)\]\)::text\[\]\)")
# Numbers of types that hold what is written, as PostgreSQL spells them.
_NUMBER = re.compile(rf"({_DIGITS})|\(({_DIGITS})\)|'({_DIGITS})'::(?:smallint|integer|bigint|numeric)")


def structure(before: State, after: State) -> tuple[list[Difference], list[str]]:
    """Compare catalogues; return differences, and notes of what no statement can tell."""
    found = comparisons.catalogue(fingerprint.differences(before.catalogue, after.catalogue))
    notes = [it for it in found if it.is_note or _is_same_number(it) or _is_same_list(it)]
    said = [f"the {it.kind} of {it.object} is another: {it.after} (was: {it.before})" for it in notes]
    return [it for it in found if it not in notes], said


def _is_same_number(one: Difference) -> bool:
    """Tell whether a default is the same number as before, quoted or not: 1 and '1'::smallint."""
    if one.kind != "column default" or one.before is None or one.after is None:
        return False
    numbers = [_NUMBER.fullmatch(text) for text in (one.before, one.after)]
    return None not in numbers and len({it[it.lastindex or 0] for it in numbers if it}) == 1


def _is_same_list(one: Difference) -> bool:
    """Tell whether a rule's text differs in where the lists of an IN are cast: a column that changes its type is read anew."""
    return (
        None not in (one.before, one.after)
        and len({_cast_each(it or "") for it in (one.before, one.after)}) == 1
    )


def _cast_each(text: str) -> str:
    """Put a cast of a whole list to each member of it, as PostgreSQL does when it reads its own spelling again."""
    return _CAST_LIST.sub(
        lambda found: f"(ARRAY[{', '.join(f'({one[0]})::text' for one in _MEMBER.finditer(found[1]))}])", text
    )


def sequences(before: State, after: State) -> list[Difference]:
    """Compare what sequences hand out next."""
    if not comparisons.SEQUENCES:
        return []
    return list(samples.compare_sequences(dict(before.sequences), dict(after.sequences)))


def values(
    before: State,
    after: State,
    changed_by_others: Collection[tuple[str, str, str]] = (),
    *,
    steady: Collection[str] | None = None,
    blurred: Collection[str] = (),
) -> list[Difference]:
    """Compare rows: those that were there must be there, value for value.

    `steady`, where given, holds the columns (`table.column`) that are compared; rows always are. Tables in `blurred`
    are left out. What is no table of the history (an extension's own, large objects) has a digest only where it has rows: one
    that is not there any more has lost them all.
    """
    found: list[Difference] = []
    tables = before.tables()
    for table, then in before.digests.items():
        now = after.digests.get(table)
        if now is None and table not in tables and then.rows is not None:
            now = replace(then, count=0, rows={})
        if now is None or now is then or table in blurred:
            continue
        others = {(key, column) for name, key, column in changed_by_others if name == table}
        # What is computed of a value is another one where that is.
        others |= {(key, column) for key, _ in others for column in _generated(before, table, then.columns)}
        for one in samples.compare(then, now, table, changed_by_others=others):
            difference = _in_words(one, then)
            if comparisons.lets(one) and (
                steady is None or one.column is None or f"{table}.{one.column}" in steady
            ):
                found.append(difference)
    return found


def written_over(
    before: State,
    after: State,
    meanwhile: State,
    below: State,
    changed_by_others: Iterable[tuple[str, str, str]],
) -> list[str]:
    """Name columns of which a downgrade made neither what others had written meanwhile, nor what was there before.

    Of those the upgrade had changed no value.
    """

    def held(state: State, table: str, key: str, column: str) -> str | None:
        digest = state.digests.get(table)
        if digest is None or digest.rows is None or key not in digest.rows or column not in digest.columns:
            return None
        return digest.rows[key][digest.columns.index(column)]

    found = set()
    for cell in changed_by_others:
        then, above, theirs, now = (held(one, *cell) for one in (before, after, meanwhile, below))
        if None not in (then, theirs, now) and then == above and now not in (then, theirs):
            found.add(f"{cell[0]}.{plain(cell[2])}")
    return sorted(found)


def _generated(state: State, table: str, columns: Iterable[str]) -> list[str]:
    known = state.catalogue.objects
    found = {name: known.get(f"{table}.{plain(name)}") for name in columns}
    return [name for name, one in found.items() if one is not None and "generated" in one.attributes]


def rows_more(
    before: State, after: State, kind: str = "rows", blurred: Collection[str] = ()
) -> list[Difference]:
    """List tables that hold more rows than before, where nobody but the step has written."""
    return [
        Difference(table, kind, f"{then.count} rows", f"{after.digests[table].count} rows")
        for table, then in before.digests.items()
        if table in after.digests and after.digests[table].count > then.count
        and comparisons.ROWS and table not in blurred
    ]  # fmt: skip


def of_before(before: State, after: State) -> State:
    """Keep of a state the rows that were there before the step: what it inserts may get another key the next time.

    Of tables that the step makes only the number of rows is kept.
    """
    digests = {}
    for table, now in after.digests.items():
        then = before.digests.get(table)
        if then is now:
            digests[table] = now  # the same object tells `values` that there is nothing to compare
        elif then is None:
            digests[table] = replace(now, sums={}, rows=None)
        elif then.rows is not None and now.rows is not None and then.key == now.key:
            rows_then = {key: row for key, row in now.rows.items() if key in then.rows}
            digests[table] = replace(now, rows=rows_then, count=len(rows_then))
        else:
            digests[table] = now
    return replace(after, digests=digests)


def without_objects_made(before: State, after: State) -> State:
    """Leave out of a state the large objects that a step made: their numbers come from the server."""
    then, now = before.catalogue.objects, after.catalogue.objects
    made = {name for name, one in now.items() if one.kind == "large object" and name not in then}
    return replace(after, catalogue=after.catalogue.without(made))


def without(state: State, left_out: Iterable[Mapping[str, Collection[str]]]) -> State:
    """Leave some rows out of a state, by table and key; tables are still as big as they are."""
    digests = dict(state.digests)
    for one in left_out:
        for table, keys in one.items():
            digest = digests.get(table)
            if digest is not None and digest.rows is not None:
                rows = {key: row for key, row in digest.rows.items() if key not in keys}
                digests[table] = replace(digest, rows=rows)
    return replace(state, digests=digests)


def steady(before: State, after: State) -> frozenset[str]:
    """Name the columns that the upgrade left alone: a second upgrade must leave them alone as well.

    What it computes (now(), random()) may come out differently each time.
    """
    found = {f"{name}.{column}" for name, one in before.digests.items() for column in one.columns}
    for one in values(before, after):
        found.discard(one.object)
    for name, then in before.digests.items():
        now = after.digests.get(name)
        if then.rows is None and now is not None and now.count != then.count:
            # Sums with the step's own rows in them.
            found -= {f"{name}.{column}" for column in then.columns}
    return frozenset(found)


def alike(before: State, after: State, now: Mapping[str, samples.TableDigest], *, exactly: bool) -> bool:
    """Tell whether rows are as they were `after` the first upgrade.

    Unless `exactly` that is asked for, what the upgrade computed may have come out differently (now(), random(), the
    next key), if it tells rows apart as it did: as many NULLs, as many equal values.
    """
    fixed: frozenset[str] | None = None
    for table, then in after.digests.items():
        here = now.get(table)
        if here is None or then == here:
            if here is None:
                return False
            continue
        if exactly or then.columns != here.columns or then.rows is None or here.rows is None:
            return False
        fixed = steady(before, after) if fixed is None else fixed
        below = before.digests.get(table)
        same_key = below is not None and below.rows is not None and below.key == then.key == here.key
        old = (
            [key for key in then.rows if below is not None and key in (below.rows or {})] if same_key else []
        )
        if any(key not in here.rows for key in old):
            return False
        for place, name in enumerate(then.columns):
            if f"{table}.{name}" in fixed and any(
                then.rows[key][place] != here.rows[key][place] for key in old
            ):
                return False
            if _shape(then, place) != _shape(here, place):
                return False
    return True


def _shape(digest: samples.TableDigest, place: int) -> tuple[int, list[int]]:
    values = Counter(row[place] for row in (digest.rows or {}).values())
    return values.pop(None, 0), sorted(values.values())


def retyped(before: State, after: State) -> frozenset[str]:
    """Name the columns that are new after a step, or have another type."""
    then = before.catalogue.objects
    return frozenset(
        name
        for name, one in after.catalogue.objects.items()
        if name not in then or one.attributes.get("type") != then[name].attributes.get("type")
    )


def incomparable(before: State, after: State, blurred: Collection[str]) -> list[str]:
    """Name the tables of which too little is known to compare them: big ones that others wrote to as well."""
    return sorted(
        table
        for table, then in before.digests.items()
        if table in after.digests
        and (table in blurred or not samples.can_be_compared(then, after.digests[table]))
    )


def _in_words(one: RowDifference, then: samples.TableDigest) -> Difference:
    if one.column is None:
        example = f", one of them {one.key}" if one.key else ""
        return Difference(one.table, "rows", f"{then.count} rows", f"{one.rows} of them gone{example}")
    if one.key is None and one.before is None and one.after is None:
        # Sums tell that rows differ, not which.
        some = f"value of some of {one.rows} rows"
        return Difference(f"{one.table}.{plain(one.column)}", some, "as it was", "something else")
    counted = f"value of {one.rows} row" + ("s" if one.rows != 1 else "")
    where = f" (row {one.key})" if one.key else ""
    shown = [("NULL" if value is None else f"'{value}'") + where for value in (one.before, one.after)]
    return Difference(f"{one.table}.{plain(one.column)}", counted, shown[0], shown[1])


def keep(differences: list[Difference], kept: Mapping[str, str]) -> tuple[list[Difference], list[Kept]]:
    """Take out what the revision says its downgrade keeps; return the rest and the sentences that were needed."""
    used: dict[str, Kept] = {}
    rest = []
    for one in differences:
        name = next((name for name in kept if _is_about(one.object, name)), None)
        if name is None:
            rest.append(one)
        else:
            used[name] = Kept(name, kept[name])
    return rest, [used[name] for name in sorted(used)]


def _is_about(thing: str, name: str) -> bool:
    """Match an object's full name, or the same without the word of its kind."""
    return thing == name or thing.partition(" ")[2] == name


def counted(differences: Sequence[Difference], broken: Sequence[Broken], cuts: Sequence[Cut]) -> str:
    """Say in numbers why a revision is refused."""
    parts = []
    above = sum(one.kind == ABOVE for one in differences)
    if below := len(differences) - above:
        parts.append(f"{below} difference{'s' if below != 1 else ''} after down")
    if above:
        parts.append(
            f"{above} sequence{'s' if above != 1 else ''} after the upgrade hand{'' if above != 1 else 's'} out used keys"
        )
    if broken:
        parts.append(f"{len(broken)} statement{'s' if len(broken) != 1 else ''} of the other schema fail")
    lost = sum(not cut.converged for cut in cuts)
    if lost:
        parts.append(f"{lost} crash{'es' if lost != 1 else ''} without recovery")
    return ", ".join(parts)
