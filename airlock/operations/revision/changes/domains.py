"""Domains: made, given another default or other CHECKs in steps, dropped with the last column of theirs; the rest is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl
from airlock.operations.revision.changes.enums import orphaned
from airlock.operations.revision.parts import Part, Sql, Stage, alone, sql
from airlock.operations.revision.probe import rolled_back, run
from airlock.records.revision import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.catalogue.structure import Domain, Structure
    from airlock.operations.revision.shadow import Sides

_NOT_VALID = " NOT VALID"
_VALIDATED = (
    "its CHECK is validated under SHARE on each table that has a column of it, and writers wait meanwhile: new values"
    " are held to it before, so the validation can wait for an hour in which that may be"
)
# Strings and quoted names stay as they are.
_VALUE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\bVALUE\b""")


def changes(sides: Sides) -> Iterator[Part]:
    """Plan domains that come, and what changes of those that stay; what the server refuses is left to `remarks`."""
    for name, wanted in sides.wanted.domains.items():
        live = sides.live.domains.get(name)
        if live is None:
            yield Part(
                Stage.EXPAND, f"create domain {name}", sql(ddl.create_domain(name, sides.first_text(name))),
                sql(f"DROP DOMAIN {name}"), locks="none on what was there",
            )  # fmt: skip
            if sides.first_text(name) != wanted.text:
                for key, text in wanted.checks.items():
                    yield _for_new_rows(name, key, None, text, ())
                    yield _validated(sides.wanted, name, key, text)
        elif live != wanted and live.base == wanted.base and _refused(sides, name) is None:
            yield from _changed(sides, name, live, wanted)


def dropped(sides: Sides) -> Iterator[Part]:
    """Plan the domains that no column is of any longer, and that the models do not have: dropped last of all."""
    for name in reversed(orphaned(sides, sides.live.domains, sides.wanted.domains)):
        yield Part(
            Stage.LAST, f"drop domain {name}", sql(f"DROP DOMAIN {name}"),
            sql(ddl.create_domain(name, sides.live.domains[name].text)), locks="none on tables",
        )  # fmt: skip


def remarks(sides: Sides) -> Iterator[Remark]:
    """Say which domains differ in a way that is not written, and what to do."""
    gone = orphaned(sides, sides.live.domains, sides.wanted.domains)
    for name, new in sides.wanted.domains.items():
        if name not in sides.live.domains and sides.first_text(name) != new.text:
            yield Remark(f"domain {name}", _VALIDATED)
    for name, live in sides.live.domains.items():
        wanted = sides.wanted.domains.get(name)
        if wanted is None and name not in gone:
            yield Remark(f"domain {name}", "the models do not have this domain; it stays")
        if wanted is None or wanted == live:
            continue
        if wanted.base != live.base:
            was, becomes = live.base.removeprefix("AS "), wanted.base.removeprefix("AS ")
            yield Remark(
                f"domain {name}",
                f"it is made of {was}, in the models of {becomes}, and a domain keeps its type: give the models' one another"
                " name, and its columns turn to that one; this one is dropped behind them",
            )
            continue
        if (why := _refused(sides, name)) is not None:
            yield Remark(f"domain {name}", f"its CHECKs cannot be changed where it is used ({why})")
            continue
        if wanted.not_null and not live.not_null:
            yield Remark(
                f"domain {name}",
                "NOT NULL of a domain is looked for in every row of every column of it under a lock that writers wait for, and"
                " has no form in steps: require the columns (nullable=False), or write it by hand",
            )
        # By another name alone, nothing is validated.
        if set(wanted.checks.values()) - set(live.checks.values()) and _users(sides.live, name):
            yield Remark(
                f"domain {name}",
                _VALIDATED,
            )


def _changed(sides: Sides, name: str, live: Domain, wanted: Domain) -> Iterator[Part]:
    alter, users = f"ALTER DOMAIN {name}", _users(sides.live, name)
    if live.default != wanted.default:
        yield Part(
            # Code of the release below leaves the value out: a default that goes is its until that is gone.
            Stage.EXPAND if wanted.default is not None else Stage.RETIRE, f"change the default of domain {name}",
            sql(_default(alter, wanted)), sql(_default(alter, live)), locks="none on tables",
        )  # fmt: skip
    scans = tuple(
        (f"scan {table}", "only the downgrade scans: PostgreSQL has no other form for a domain")
        for table in sorted({table for table, _, _ in users})
    )
    if live.not_null and not wanted.not_null:
        yield Part(
            Stage.EXPAND, f"let domain {name} be NULL", sql(f"{alter} DROP NOT NULL"), alone(f"{alter} SET NOT NULL"),
            locks="none on tables", undo="exact; refused while a row is NULL", accepted=scans,
        )  # fmt: skip
    old = {key: text for key, text in live.checks.items() if wanted.checks.get(key) != text}
    new = {key: text for key, text in wanted.checks.items() if live.checks.get(key) != text}
    for key, text in sorted(new.items()):
        same = next((it for it in sorted(old) if it not in new and old[it] == text), None)
        before = old.pop(same if same is not None else key, None)
        if same is not None:
            yield Part(
                Stage.EXPAND, f"rename constraint {same} of domain {name} to {key}",
                sql(f"{alter} RENAME CONSTRAINT {quoted(same)} TO {quoted(key)}"),
                sql(f"{alter} RENAME CONSTRAINT {quoted(key)} TO {quoted(same)}"), locks="none on tables",
            )  # fmt: skip
            continue
        if before != text + _NOT_VALID:
            yield _for_new_rows(name, key, before, text, scans)
        yield _validated(sides.live, name, key, text)
    for key, text in sorted(old.items()):
        yield Part(
            Stage.EXPAND, f"drop constraint {key} of domain {name}", sql(f"{alter} DROP CONSTRAINT {quoted(key)}"),
            _again(name, key, text), locks="none on tables", undo="exact; refused while a row breaks it", accepted=scans,
        )  # fmt: skip


def _default(alter: str, one: Domain) -> str:
    return f"{alter} DROP DEFAULT" if one.default is None else f"{alter} SET DEFAULT {one.default}"


def _add(name: str, key: str, text: str) -> str:
    return f"ALTER DOMAIN {name} ADD CONSTRAINT {quoted(key)} {text.removesuffix(_NOT_VALID)}{_NOT_VALID}"


def _drop(name: str, key: str) -> str:
    return f"ALTER DOMAIN {name} DROP CONSTRAINT {quoted(key)}"


def _again(name: str, key: str, text: str) -> tuple[Sql, ...]:
    """Make a CHECK again, in statements that commit by themselves, valid where it was."""
    made = alone(f"ALTER DOMAIN {name} DROP CONSTRAINT IF EXISTS {quoted(key)}", _add(name, key, text))
    if text.endswith(_NOT_VALID):
        return made
    return made + alone(f"ALTER DOMAIN {name} VALIDATE CONSTRAINT {quoted(key)}")


def _for_new_rows(
    name: str, key: str, before: str | None, text: str, scans: tuple[tuple[str, str], ...]
) -> Part:
    """Hold new values to a CHECK, in the place of another one perhaps."""
    replaced = (_drop(name, key),) if before is not None else ()
    return Part(
        Stage.REQUIRE, f"{'replace' if before else 'add'} constraint {key} of domain {name} for new values",
        sql(*replaced, _add(name, key, text)),
        _again(name, key, before) if before is not None else sql(_drop(name, key)), locks="none on tables: NOT VALID",
        undo="exact; refused while a row breaks the older one" if before else "exact; nothing is lost",
        accepted=scans if before is not None else (),
    )  # fmt: skip


def _validated(side: Structure, name: str, key: str, text: str) -> Part:
    users = _users(side, name)
    found = "; ".join(
        f"SELECT * FROM {table} WHERE NOT ({_on(column, text)})" for _, table, column in users[:3]
    )
    validate = Sql(
        f"ALTER DOMAIN {name} VALIDATE CONSTRAINT {quoted(key)}",
        note=f"Rows that break it stop this: {found}" if found else None,
    )
    tables = ", ".join(sorted({table for _, table, _ in users}))
    return Part(
        Stage.VALIDATE, f"validate {key} of domain {name}", (validate,), sql(_drop(name, key), _add(name, key, text)),
        locks=f"SHARE on {tables} during the scan: writers wait"
        if users else "none on tables",
        undo="exact; the constraint is NOT VALID again. Nothing is lost",
    )  # fmt: skip


def _on(column: str, text: str) -> str:
    """Spell a domain's CHECK as a condition on a column of it."""
    condition = text.removesuffix(_NOT_VALID).removeprefix("CHECK ").strip()
    return _VALUE.sub(lambda found: column if found[0] == "VALUE" else found[0], condition)


def _users(structure: Structure, name: str) -> list[tuple[str, str, str]]:
    """List the columns of a domain: their table as findings name it, and both as SQL spells them."""
    return [
        (table.found_as, table.sql, quoted(one.name))
        for table in structure.tables.values() for one in table.columns.values() if one.type == name
    ]  # fmt: skip


def _refused(sides: Sides, name: str) -> str | None:
    """Say why the server does not change the domain's CHECKs: a column of arrays or rows of it, above all. Tried and undone."""
    live, wanted = sides.live.domains[name], sides.wanted.domains[name]
    if live.base != wanted.base or live.checks == wanted.checks:
        return None
    loose = [key for key, text in wanted.checks.items() if live.checks.get(key) != text]
    try:
        with rolled_back(sides.connection):
            for key in (key for key in live.checks if key in loose):
                run(sides.connection, _drop(name, key))
            for key in loose:
                run(sides.connection, _add(name, key, wanted.checks[key]))
                run(sides.connection, f"ALTER DOMAIN {name} VALIDATE CONSTRAINT {quoted(key)}")
    except sa.exc.DBAPIError as error:
        return str(error.orig).splitlines()[0].strip()
    return None
