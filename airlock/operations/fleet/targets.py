"""The targets of a fleet: lines of a file or rows of a query, each a database, a schema of one, or a server.

A file has one target a line, a query one a row. What a value is, its name says: `url`; or `host`, `port`, `user`,
`password` and `database` (also `dbname`, `datname`), which replace that part of the URL that every command has; `name`,
as it is printed; anything else is env.py's, as `-x name=value` (also `x.name`, for one that is called like a part). A
value without a name is a URL where it has `://`, else a database.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.database import server, server_errors
from airlock.database.target import Target, parse, resolve_target, with_parts
from airlock.records.errors import Usage
from airlock.records.secrets import remembering_nothing, scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airlock.project.project import Project

_PARTS = {
    "host": "host", "port": "port", "user": "user", "password": "password",
    "database": "dbname", "dbname": "dbname", "datname": "dbname",
}  # fmt: skip
_WORD = re.compile(r"([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_QUERY = re.compile(
    r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*\(?\s*(?:SELECT|WITH|TABLE|VALUES)\b", re.IGNORECASE | re.DOTALL
)
# What PostgreSQL calls a column that has no name of its own.
_NAMELESS = {"?column?", "column1", "format", "concat"}
_PLACE = ("host", "hostaddr", "port", "dbname", "service")
_PLACE_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")


@dataclass(frozen=True)
class FleetTarget:
    """One target: where it is, what env.py is told beside it, and the name that may be printed.

    `own_arguments` are those of `x_arguments` that are not the same for every target. `place` is the same for all
    targets of one database, `identity` is this target's own in every journal.
    """

    name: str
    target: Target = field(repr=False)
    x_arguments: tuple[str, ...]
    own_arguments: tuple[str, ...]
    place: str
    identity: str


def read_targets(
    project: Project, source: str, url: str | None = None, x_arguments: tuple[str, ...] = ()
) -> tuple[FleetTarget, ...]:
    """Read the list: a file's name, `-` for standard input, or a query.

    What a line leaves out is as in the target that a command without a fleet would have (`url`, the environment, the
    ini); to it goes the query too, in a read-only transaction. Raises Usage for a list that is empty, names a target
    twice or cannot be read; no message quotes a value.
    """

    def base() -> Target:
        return resolve_target(url, os.environ, project.ini_url)

    if source != "-" and not Path(source).is_file():
        if not _QUERY.match(source):
            raise Usage(
                f"--targets: there is no file {scrub(source)!r}, and it is no query.",
                then="--targets FILE, or --targets 'SELECT datname FROM pg_database WHERE …'",
            )
        rows = _rows(source, base())
        where = "row"
    else:
        rows = _lines(source)
        where = "line"
    found: list[FleetTarget] = []
    known: Target | None = None
    for number, row in rows:
        if known is None and "url" not in row:
            known = base()
        # A thousand passwords would be looked for in every line that is printed: the child remembers its own.
        with remembering_nothing():
            found.append(_target(row, known, x_arguments, f"{where.capitalize()} {number} of --targets"))
    if not found:
        raise Usage("--targets names no target.")
    _refuse_twins(found)
    return tuple(found)


def _lines(source: str) -> list[tuple[int, dict[str, str]]]:
    try:
        text = Path("/dev/stdin" if source == "-" else source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Usage(f"--targets cannot be read: {reason}.") from None
    rows = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        where = f"Line {number} of --targets"
        rows.append((number, _document(said, where) if said.startswith("{") else _words(said, where)))
    return rows


def _document(said: str, where: str) -> dict[str, str]:
    try:
        found = json.loads(said)
        return {str(name): str(value) for name, value in found.items() if value is not None}
    except (ValueError, AttributeError):
        raise Usage(f"{where} is no JSON object.") from None


def _words(said: str, where: str) -> dict[str, str]:
    try:
        words = shlex.split(said, comments=True)
    except ValueError:
        raise Usage(f"{where} has a quotation mark that does not end.") from None
    row: dict[str, str] = {}
    for word in words:
        named = None if "://" in word.partition("=")[0] else _WORD.fullmatch(word)
        name, value = (named.group(1), named.group(2)) if named else (_nameless(word), word)
        if name in row:
            raise Usage(
                f"{where} has two values for {name}.", then="name=, database=, url= or KEY=VALUE before each"
            )
        row[name] = value
    return row


def _rows(query: str, base: Target) -> list[tuple[int, dict[str, str]]]:
    with contextlib.closing(server.connect(base, application_name="airlock-fleet")) as connection:
        connection.set_session(readonly=True)
        with connection.cursor() as cursor:
            try:
                cursor.execute(query)
                records = cursor.fetchall() if cursor.description else []
            except Exception as error:
                if not server_errors.is_drivers(error):
                    raise
                raise Usage(f"The query of --targets fails: {server_errors.first_line(error)}.") from error
            names = [column.name for column in cursor.description or ()]
        connection.rollback()
    return [(number, _row(names, record)) for number, record in enumerate(records, 1)]


def _row(names: list[str], record: tuple[Any, ...]) -> dict[str, str]:
    values = {name: str(value) for name, value in zip(names, record, strict=True) if value is not None}
    if len(names) == 1 and values:
        name, value = next(iter(values.items()))
        if "://" in value or name in _NAMELESS | {"name"}:
            return {_nameless(value): value}
    return values


def _nameless(value: str) -> str:
    return "url" if "://" in value else "database"


def _target(
    row: Mapping[str, str], base: Target | None, x_arguments: tuple[str, ...], where: str
) -> FleetTarget:
    parts = {_PARTS[name]: value for name, value in row.items() if name in _PARTS}
    own = {
        name.removeprefix("x."): value
        for name, value in row.items()
        if name not in _PARTS and name not in {"url", "name"}
    }
    if "url" in row:
        target = parse(row["url"], where)
    elif base is not None:
        target = base
    else:
        raise Usage(f"{where} says no database.")
    if parts:
        target = with_parts(target, parts, where)
    given = tuple(f"{name}={value}" for name, value in own.items())
    name = row.get("name") or _name(parts, given, target)
    if not name.isprintable() or len(name) > 200:
        raise Usage(f"{where} has a name that cannot be printed.")
    place = _place(target)
    identity = hashlib.sha256(json.dumps([place, sorted(given)]).encode()).hexdigest()[:20]
    return FleetTarget(scrub(name), target, (*x_arguments, *given), given, place, identity)


def _name(parts: Mapping[str, str], given: tuple[str, ...], target: Target) -> str:
    named = parts["dbname"] if set(parts) == {"dbname"} else "" if given and not parts else target.label
    return " ".join(part for part in (named, *given) if part)


def _place(target: Target) -> str:
    """Tell databases apart: a digest, because a host may be nobody's business."""
    place = [target.parameters.get(name, "") for name in _PLACE]
    place += [os.environ.get(name, "") for name in _PLACE_VARIABLES]
    return hashlib.sha256(json.dumps(place).encode()).hexdigest()[:20]


def _refuse_twins(found: Iterable[FleetTarget]) -> None:
    names: set[str] = set()
    identities: dict[str, str] = {}
    for one in found:
        if one.identity in identities:
            raise Usage(f"--targets names one target twice: {identities[one.identity]} and {one.name}.")
        if one.name in names:
            raise Usage(f"--targets has two targets that are called {one.name}.", then="name= before each")
        identities[one.identity] = one.name
        names.add(one.name)
