"""Where a column's numbers come from: an identity, an owned sequence (serial), nowhere. They go on where they stand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.naming import made_name
from airlock.operations.revision.parts import Part, Stage, sql

if TYPE_CHECKING:
    from airlock.catalogue.structure import Column, Sequence, Table
    from airlock.operations.revision.changes.columns.needs import Changes


def numbers(one: Column) -> tuple[object, ...]:
    """Spell all that says where the column's numbers come from; empty for a column that nobody numbers."""
    if not one.identity and not ddl.is_serial(one):
        return ()
    kept = one.sequence and dataclasses.replace(one.sequence, comment=None, privileges=())
    return one.identity, kept, None if one.identity else one.default


def renumbered(live: Table, before: Column, after: Column, found: Changes) -> None:
    """Plan another source of numbers for a column that stays: the new one goes on where the old one stands."""
    label = live.label_of(after.name)
    if before.identity and after.identity:
        _identity_changed(live, before, after, found)
    elif ddl.is_serial(before) and ddl.is_serial(after) and before.sequence and after.sequence:
        up, down = _altered(before.sequence, after.sequence), _altered(after.sequence, before.sequence)
        _add(live, f"change the sequence of {label}", up, down, found)
    elif numbers(before) and numbers(after):
        # Old code and new code leave the number out, and get one.
        what = f"number {label} {'as an identity' if after.identity else 'by a sequence'}"
        _add(live, what, moved(live, before, after), moved(live, after, before), found)
    elif numbers(after):
        _numbered(live, before, after, found)
    else:
        _no_more(live, before, after, found)


def moved(live: Table, before: Column, after: Column) -> list[str]:
    """Spell how numbers go from a column's source to another one's, of the same column or of its twin.

    Takes ACCESS EXCLUSIVE on the table before it reads the last value, so that no number is given twice.
    """
    old, new = before.sequence, after.sequence
    if old is None or new is None:
        raise ValueError(f"{live.label_of(before.name)} is not numbered on both sides")
    was, becomes = (f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(one.name)}" for one in (before, after))
    if not before.identity and not after.identity:
        made = [f"{was} DROP DEFAULT", *_altered(old, new), f"{becomes} SET DEFAULT {after.default}"]
        return [*made, f"ALTER SEQUENCE {new.name} OWNED BY {live.sql}.{quoted(after.name)}"]
    aside_name = made_name(ddl.unqualified(old.name), "old")
    aside = ddl.beside(old.name, aside_name)
    made = [f"LOCK TABLE {live.sql} IN ACCESS EXCLUSIVE MODE"]
    if not before.identity:
        made += [f"{was} DROP DEFAULT", f"ALTER SEQUENCE {old.name} OWNED BY NONE"]
    made.append(f"ALTER SEQUENCE {old.name} RENAME TO {quoted(aside_name)}")
    made.append(f"{becomes} ADD {ddl.identity(after)}" if after.identity else ddl.create_sequence(new))
    made.append(_taken_over(live, after, old, new, aside))
    made.append(f"{was} DROP IDENTITY" if before.identity else f"DROP SEQUENCE {aside}")
    if not after.identity:
        made.append(f"{becomes} SET DEFAULT {after.default}")
        made.append(f"ALTER SEQUENCE {new.name} OWNED BY {live.sql}.{quoted(after.name)}")
    # The models know no grants: those of the side that is there hold for both.
    grants = dict.fromkeys((*old.privileges, *new.privileges))
    return made + [grant.format(sequence=new.name) for grant in grants]


def _taken_over(live: Table, after: Column, old: Sequence, new: Sequence, aside: str) -> str:
    value, called = "last_value", "is_called"
    if new.increment > 0 and new.minimum > old.minimum:
        value, called = f"greatest(last_value, {new.minimum})", f"is_called AND last_value >= {new.minimum}"
    elif new.increment < 0 and new.maximum < old.maximum:
        value, called = f"least(last_value, {new.maximum})", f"is_called AND last_value <= {new.maximum}"
    return f"SELECT setval({ddl.sequence_of(live, after)}, {value}, {called}) FROM {aside}"


def from_rows(live: Table, one: Column) -> str:
    """Spell how a new sequence goes on behind the largest number that is there (the smallest, where it counts down)."""
    sequence, name = one.sequence, quoted(one.name)
    if sequence is None:
        raise ValueError(f"{live.label_of(one.name)} is not numbered")
    last, low, high = ("max", sequence.start, sequence.maximum)
    if sequence.increment < 0:
        last, low, high = ("min", sequence.minimum, sequence.start)
    return (
        f"SELECT setval({ddl.sequence_of(live, one)}, coalesce({last}({name}), {sequence.start}), {last}({name}) IS NOT NULL)"
        f" FROM {live.sql} WHERE {name} BETWEEN {low} AND {high}"
    )


def _numbered(live: Table, before: Column, after: Column, found: Changes) -> None:
    label, alter = live.label_of(after.name), f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(after.name)}"
    sequence = after.sequence
    if sequence is None:
        return
    gone = [f"{alter} DROP DEFAULT"] if before.default is not None else []
    back = [f"{alter} SET DEFAULT {before.default}"] if before.default is not None else []
    if not after.identity and before.default == after.default:
        # The default is there already, and so is its sequence: only the column does not own it yet.
        own = f"ALTER SEQUENCE {sequence.name} OWNED BY"
        _add(
            live,
            f"let {label} own its sequence",
            [f"{own} {live.sql}.{quoted(after.name)}"],
            [f"{own} NONE"],
            found,
        )
        return
    if after.identity:
        # By default first: code that gives numbers itself is still at work.
        first = dataclasses.replace(after, identity="d")
        up = [*gone, f"{alter} ADD {ddl.identity(first)}", from_rows(live, first)]
        down = [f"{alter} DROP IDENTITY", *back]
    else:
        up = [ddl.create_sequence(sequence), f"{alter} SET DEFAULT {after.default}", from_rows(live, after)]
        up.append(f"ALTER SEQUENCE {sequence.name} OWNED BY {live.sql}.{quoted(after.name)}")
        down = [f"{alter} DROP DEFAULT", f"DROP SEQUENCE {sequence.name}", *back]
    stage = Stage.EXPAND if before.not_null else Stage.SWAP
    _add(live, f"number {label}", up, down, found, stage)
    if after.identity == "a":
        _always(live, after, found)


def _always(live: Table, one: Column, found: Changes) -> None:
    alter = f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(one.name)} SET GENERATED"
    what = f"refuse numbers that code gives {live.label_of(one.name)} itself"
    _add(live, what, [f"{alter} ALWAYS"], [f"{alter} BY DEFAULT"], found, Stage.RETIRE)


def _no_more(live: Table, before: Column, after: Column, found: Changes) -> None:
    label, alter = live.label_of(after.name), f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(after.name)}"
    sequence = before.sequence
    if sequence is None:
        return
    if not before.identity and before.default == after.default:
        own = f"ALTER SEQUENCE {sequence.name} OWNED BY"
        _add(
            live,
            f"let {label} own its sequence no more",
            [f"{own} NONE"],
            [f"{own} {live.sql}.{quoted(after.name)}"],
            found,
        )
        return
    if before.identity == "a":
        by = f"{alter} SET GENERATED"
        _add(
            live,
            f"take numbers that code gives {label} itself",
            [f"{by} BY DEFAULT"],
            [f"{by} ALWAYS"],
            found,
        )
        before = dataclasses.replace(before, identity="d")
    becomes = [f"{alter} SET DEFAULT {after.default}"] if after.default is not None else []
    grants = [grant.format(sequence=sequence.name) for grant in sequence.privileges]
    again = ddl.not_null_again(live, after.name) if before.identity and not after.not_null else ()
    if before.identity:
        # Old code leaves the number out: it may be NULL from the very statement on.
        up = [f"{alter} DROP IDENTITY", *becomes, *([] if after.not_null else [f"{alter} DROP NOT NULL"])]
        gone = [f"{alter} DROP DEFAULT"] if after.default is not None else []
        down = [*gone, f"{alter} ADD {ddl.identity(before)}", from_rows(live, before), *grants]
    else:
        up = [*(becomes or [f"{alter} DROP DEFAULT"]), f"DROP SEQUENCE {sequence.name}"]
        down = [
            ddl.create_sequence(sequence),
            f"{alter} SET DEFAULT {before.default}",
            from_rows(live, before),
            *grants,
        ]
        down.append(f"ALTER SEQUENCE {sequence.name} OWNED BY {live.sql}.{quoted(before.name)}")
    found.parts.append(
        Part(
            # Old code leaves the number out: it needs the source until it is gone.
            Stage.EXPAND if after.default is not None else Stage.DROP, f"number {label} no more", sql(*up), (*again, *sql(*down)),
            locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment",
            undo="the numbers go on behind the largest that is there; those of deleted rows may be given again",
            accepted=((f"scan {live.found_as}", "only the downgrade scans: for the largest number, where no index has it"),),
        )
    )  # fmt: skip


def _identity_changed(live: Table, before: Column, after: Column, found: Changes) -> None:
    alter, label = f"ALTER TABLE {live.sql} ALTER COLUMN {quoted(after.name)}", live.label_of(after.name)
    old, new = before.sequence, after.sequence
    up, down = [], []
    if old is not None and new is not None:
        up, down = _options(live, after, alter, old, new), _options(live, before, alter, new, old)
    if before.identity == "d" and after.identity == "a":
        _always(live, after, found)
    elif before.identity != after.identity:
        up, down = [f"{alter} SET GENERATED BY DEFAULT", *up], [*down, f"{alter} SET GENERATED ALWAYS"]
    if up or down:
        _add(live, f"change the identity of {label}", up, down, found)


def _options(live: Table, one: Column, alter: str, old: Sequence, new: Sequence) -> list[str]:
    made = []
    if old.name != new.name:
        made.append(f"ALTER SEQUENCE {old.name} RENAME TO {quoted(ddl.unqualified(new.name))}")
    if old.options() == new.options():
        return made
    within = new.minimum > old.minimum if new.increment > 0 else new.maximum < old.maximum
    if within:
        # PostgreSQL refuses bounds that the last value lies outside of.
        made += [
            f"LOCK TABLE {live.sql} IN ACCESS EXCLUSIVE MODE",
            _taken_over(live, one, old, new, new.name),
        ]
    cycle = "SET CYCLE" if new.cycle else "SET NO CYCLE"
    sets = [
        f"SET START WITH {new.start}", f"SET INCREMENT BY {new.increment}", f"SET MINVALUE {new.minimum}",
        f"SET MAXVALUE {new.maximum}", f"SET CACHE {new.cache}", cycle,
    ]  # fmt: skip
    return [*made, f"{alter} {' '.join(sets)}"]


def _altered(old: Sequence, new: Sequence) -> list[str]:
    """Spell what makes one owned sequence the other; its last value stays."""
    made = []
    if old.name != new.name:
        made.append(f"ALTER SEQUENCE {old.name} RENAME TO {quoted(ddl.unqualified(new.name))}")
    if (old.type, old.options()) != (new.type, new.options()):
        made.append(f"ALTER SEQUENCE {new.name} AS {new.type} {new.options()}")
    return made


def _add(
    live: Table, what: str, up: list[str], down: list[str], found: Changes, stage: Stage = Stage.EXPAND
) -> None:
    found.parts.append(
        Part(stage, what, sql(*up), sql(*down), locks=f"ACCESS EXCLUSIVE on {live.sql} for a moment, no scan")
    )
