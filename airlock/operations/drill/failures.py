"""What a step's exception means: a refusal of its own, the sample rows, the server, or a fault."""

from __future__ import annotations

import ast
import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.util.exc import CommandError
from sqlalchemy.exc import MultipleResultsFound, SQLAlchemyError

from airlock.database import missing
from airlock.database.server_errors import sqlstate
from airlock.drivers.spelling import command
from airlock.records.errors import AirlockError
from airlock.records.secrets import scrub
from airlock.scratch import installations, memory

if TYPE_CHECKING:
    from airlock.project.project import RevisionFacts
    from airlock.records.shared import Shared

# Cardinality, data, integrity, routines outside of SQL (pgcrypto's, of a wrong key), CHECK OPTION, program limits (a long key
# of an index), PL/pgSQL's own.
_OF_ROWS = frozenset({"21", "22", "23", "38", "39", "44", "54", "P0"})
# syntax_error, invalid_name: of SQL, with the place in it; of a value that ltree, tsquery or regclass reads, without one.
_SPELLED = frozenset({"42601", "42602"})
_PLACES = ("statement_position", "position", "internal_position")
# Texts, bytes, parameters, dates, characters, XML and JSON that a function does not read; not numbers that it cannot take.
_UNREADABLE = frozenset(
    {"22P02", "22P03", "22023", "22007", "22018", "22021", "2200L", "2200M", "2200N", "22032"}
)
# query_canceled: a statement has taken longer than any does on a few dozen rows.
_ENDLESS = "57014"
# cardinality_violation, too_many_rows.
_SEVERAL = frozenset({"21000", "P0003"})
_DISK_FULL = "53100"
# crash_shutdown; what drivers say of a connection that ended without a word (SQLAlchemy holds it for lost).
_CRASHED = "57P02"
_CONNECTION = frozenset({"08000", "08003", "08006"})
# internal_error: what PostGIS says of most values that its functions do not take.
_INTERNAL = "XX000"
# invalid_function_definition, undefined_file, incompatible library: nothing that CREATE EXTENSION itself says of its words.
_OF_SCRIPTS = frozenset({"42P13", "58P01", _INTERNAL})
# Of TLS; of lz4, zstd and libxml, in the error's detail.
_OF_THE_BUILD = re.compile(r"not supported (?:in|by) this build|requires the server to be built with")
# What a foreign table or dblink says where the other server is not there, lacks a table, or takes no login.
_FAR = frozenset({"08001", "2F003", "HV00L", "HV00N", "HV00P", "HV00Q", "HV00R"})
_NEVER_OF_ROWS = (CommandError, ImportError, NotImplementedError)
# A name that a revision has put together of what a sample row holds: no such table is there.
_NAMED_BY_ROWS = re.compile(r"\bsample \d+")
# Samples are a few dozen rows: a line that sends as often goes through windows of keys up to one far off, or has no end.
_MOST_ROUNDS, _MOST_INSERTS = 10_000, 20_000
_BUGS = (AttributeError, KeyError, TypeError, NameError, ImportError, IndexError, RecursionError)


def origin(error: BaseException) -> Any:
    """Find the driver's own error under SQLAlchemy's, else the error itself."""
    return getattr(error, "orig", None) or error


def message(error: BaseException) -> str:
    """Give what the server said, with its detail: asyncpg's errors keep that apart, the others' texts have it."""
    found = origin(error)
    detail = getattr(found, "detail", None) or getattr(getattr(found, "__cause__", None), "detail", None)
    return f"{found}\nDETAIL:  {detail}" if isinstance(detail, str) and detail else str(found)


def _text(error: Any) -> str:
    """Give an exception's message in characters that every report can be written in: no lone surrogates."""
    return str(error).encode("utf-8", "backslashreplace").decode()


def raised_at(error: BaseException, path: str) -> str:
    """Say in brackets which line of a file it was raised under, with a blank before; "" where under none."""
    found: BaseException | None = error
    while found is not None:
        lines = [
            line for frame, line in traceback.walk_tb(found.__traceback__) if frame.f_code.co_filename == path
        ]
        if lines:
            return f" ({Path(path).name}:{lines[-1]})"
        found = found.__cause__ or found.__context__
    return ""


def one_line(error: BaseException) -> str:
    """Say what the server or the revision said, in one line without SQL or values."""
    if is_filling(error):
        return f"a statement was ended that left no room where the scratch server lies ({memory.MORE_SPACE})"
    text = scrub(_text(origin(error))).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else ""
    # asyncpg's adapted errors repeat their class: <class '...'>: message
    first = re.sub(r"^<class '[^']*'>: ", "", first)
    if sqlstate(error) is None and not isinstance(
        error, (NotImplementedError, RuntimeError, CommandError, AirlockError)
    ):
        return f"{type(error).__name__}: {first}" if first else type(error).__name__
    return first or type(error).__name__


class TooManyRounds(RuntimeError):
    """A line of a revision sends its statement once more and once more: in windows, say, up to the largest key."""


def end_of_rounds(place: tuple[str, int], times: int, sql: str) -> None:
    """Raise TooManyRounds where a line has sent a statement too often; a revision may bring more rows with it."""
    if times > _MOST_ROUNDS:
        most = _MOST_INSERTS if command(sql) == "INSERT" else _MOST_ROUNDS
        if times > most:
            raise TooManyRounds(f"{place[0]}:{place[1]} sends its statement more than {most:,} times")


def is_about_rows(error: BaseException) -> bool:
    """Tell whether other rows might have gone through: what PostgreSQL says of data, and what is raised in code.

    A revision that reads rows into Python breaks on them there (a text that is no JSON, a NULL).
    """
    state = sqlstate(error)
    if state is None:
        return isinstance(error, Exception) and not isinstance(error, (SQLAlchemyError, *_NEVER_OF_ROWS))
    named = state[:2] == "42" and _NAMED_BY_ROWS.search(str(origin(error)).partition("\n")[0]) is not None
    return state[:2] in _OF_ROWS or state in (_INTERNAL, _ENDLESS) or named or _is_of_a_value(error)


def is_unreadable(error: BaseException) -> bool:
    """Tell whether a value was not what a function reads: no document, no key's, no path, no geometry."""
    state = sqlstate(error) or ""
    return state in _UNREADABLE or state[:2] in {"38", "39"} or state == _INTERNAL or _is_of_a_value(error)


def wants_one_row(error: BaseException) -> bool:
    """Tell whether more than one row was found where one is wanted: by the server, by PL/pgSQL's STRICT, by SQLAlchemy."""
    return sqlstate(error) in _SEVERAL or isinstance(error, MultipleResultsFound)


def is_endless(error: BaseException) -> bool:
    """Tell whether a statement was ended because it took too long."""
    return sqlstate(error) == _ENDLESS


def is_filling(error: BaseException) -> bool:
    """Tell whether a statement was cancelled for what it writes (`scratch/room.py`): nobody else cancels on a scratch server."""
    return is_endless(error) and "user request" in str(origin(error))


def _is_of_a_value(error: BaseException) -> bool:
    found = origin(error)
    sources = (getattr(found, "diag", None), found, found.__cause__)
    return sqlstate(error) in _SPELLED and not any(
        getattr(source, name, None) for source in sources for name in _PLACES
    )


def comes_of(error: BaseException, path: str) -> bool:
    """Tell whether the code of a file stands in the way that an exception, or what caused it, has come."""
    found: BaseException | None = error
    while found is not None:
        frames = traceback.walk_tb(found.__traceback__)
        if any(frame.f_code.co_filename == path for frame, _ in frames):
            return True
        found = found.__cause__
    return False


def is_its_own(error: BaseException, path: Path) -> bool:
    """Tell whether a revision raises by itself: in its file, or by a RAISE of what it sends."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    raised = place is not None and place.tb_frame.f_code.co_filename == str(path)
    return raised or sqlstate(error) == "P0001"


def missing_shared(error: BaseException) -> Shared | None:
    """Name the role or the tablespace that the scratch server lacks."""
    found = origin(error)
    # asyncpg keeps it beside its message.
    context = getattr(found.__cause__, "context", None)
    return missing.shared(f"{found}\nCONTEXT:  {context}" if isinstance(context, str) else str(found))


def lacks_extension(error: BaseException) -> bool:
    """Tell whether the scratch server lacks an extension's files."""
    found = missing.extension(str(origin(error))), _preloaded(error), _of_its_script(error)
    return any(one is not None for one in found)


def _preloaded(error: BaseException) -> str | None:
    return missing.preloaded(str(origin(error)), str(getattr(error, "statement", None) or ""))


def _of_its_script(error: BaseException) -> str | None:
    """Name the extension whose own script or library this server does not take: no revision can help it."""
    if sqlstate(error) not in _OF_SCRIPTS:
        return None
    return missing.created(str(getattr(error, "statement", None) or ""))


def beyond_scratch(error: BaseException) -> str | None:
    """Say what the scratch server cannot offer: an extension, a library of its build (ICU, lz4), space, a superuser's right."""
    extension = missing.extension(str(origin(error)))
    if extension:
        return f"the extension {extension} is not on the scratch server; try {installations.line(extension)}"
    preloaded = _preloaded(error)
    if preloaded is not None:
        which = f"the extension {preloaded}" if preloaded else "an extension"
        return (
            f"{which} wants a server that loads it at its start (shared_preload_libraries): {one_line(error)}; "
            + missing.advice_on_preloading(str(origin(error)))
        )
    scripted = _of_its_script(error)
    if scripted is not None:
        return (
            f"the extension {scripted} has a script or library that the scratch server does not take: {one_line(error)}; "
            "try --scratch with the URL of a server that has it"
        )
    if missing.icu(str(origin(error))):
        return f"{one_line(error)}: try {installations.line(installations.ICU)}"
    if sqlstate(error) == "0A000" and _OF_THE_BUILD.search(message(error)):
        return f"{one_line(error)}: try --scratch with the URL of a server like the target, or container"
    if missing.OUTWARD in str(origin(error)):
        why = f"the drill runs as an ordinary owner, and {missing.OUTWARD}"
        return f"{one_line(error)}: {why}; try {missing.ADVICE_ON_OUTWARD}"
    if sqlstate(error) == "42501":
        return f"{one_line(error)}: the drill runs as an ordinary owner; try --scratch with the URL of a server like the target"
    return server_failed(error)


def server_failed(error: BaseException) -> str | None:
    """Say how the scratch server itself failed, whatever the revision is worth: no space left, or it went away."""
    state = sqlstate(error)
    if state == _DISK_FULL:
        return f"{one_line(error)}: try {memory.MORE_SPACE}"
    if state in _FAR:
        return f"{one_line(error)}: another server is none of scratch's"
    if is_endless(error):
        return f"on sample rows: {one_line(error)}"
    lost = getattr(error, "connection_invalidated", False) and state in (None, _CRASHED, *_CONNECTION)
    return f"the scratch server went away: {one_line(error)}" if lost else None


def own_refusal(error: BaseException, facts: RevisionFacts) -> str | None:
    """Say why the revision itself refuses to go down, None where it broke instead of refusing.

    Any exception is a refusal where raising it is all that the downgrade does.
    """
    if not facts.downgrades:
        return facts.irreversible
    if sqlstate(error) is not None:
        return None
    meant = isinstance(error, NotImplementedError | RuntimeError) or type(error) is Exception
    if (meant and not isinstance(error, _BUGS)) or _only_raises(facts.path):
        said = _text(error).strip() or f"its downgrade raises {type(error).__name__} without a reason"
        return facts.irreversible or said
    return None if isinstance(error, _BUGS) else facts.irreversible


def _only_raises(path: Path) -> bool:
    """Tell whether a revision's downgrade is one `raise`, a docstring aside."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
            body = [
                it
                for it in node.body
                if not (isinstance(it, ast.Expr) and isinstance(it.value, ast.Constant))
            ]
            return len(body) == 1 and isinstance(body[0], ast.Raise)
    return False
