"""The command line: arguments in, exit code out.

Each command is a module of `airlock.commands` with `configure(parser)` and `run(arguments) -> int`; only the one
that is asked for is imported, because imports are most of what a run at head costs.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import importlib
import io
import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airlock.commands import defaults
from airlock.commands.arguments import add_common
from airlock.project.place import working_directory
from airlock.project.settings import BEFORE, CONFIGURE, SECTION, TAG
from airlock.project.settings import read as read_settings
from airlock.records.errors import AirlockError, Terminated, Usage
from airlock.records.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = {
    "init": "say what was found of a project, and write a small section of settings",
    "status": "say where the database stands, what is pending, what has drifted",
    "upgrade": "take the database to a revision (default: head)",
    "downgrade": "take the database back to a revision, counting first what would be lost",
    "fleet": "upgrade, downgrade or look at many databases, schemas or servers",
    "trace": "run revisions in scratch and say what each statement locks, rewrites and scans",
    "drill": "prove in scratch that every revision can be undone",
    "review": "write the bundle that a DBA approves a revision from",
    "revision": "write new revisions from the models, in the form that blocks nobody",
    "check": "say whether the whole history is fit to be deployed, without a target",
}
# What Alembic has and airlock needs no other form of; the command of airlock's that says more, where there is one.
ALEMBICS = {
    "stamp": "", "current": "status", "history": "status", "heads": "status", "branches": "", "show": "", "merge": "",
    "edit": "", "ensure_version": "", "list_templates": "",
}  # fmt: skip
# Two signals within this time (in seconds) are one.
_AT_ONCE = 0.1
# They run whole histories in scratch, whatever the target is.
_REHEARSING = {"trace", "drill", "review", "revision", "check"}
# What children of these load; by then no code of the project has run, unless a target's heads are asked for first.
_CHILDREN = {
    "trace": ("airlock.operations.trace.child",),
    "drill": ("airlock.operations.drill.child", "airlock.operations.drill.one_run"),
    "check": (
        "airlock.operations.drill.child", "airlock.operations.drill.one_run", "airlock.operations.trace.child",
        "airlock.operations.revision.child",
    ),
}  # fmt: skip
# A bug of airlock itself: none of the documented answers (sysexits.h, EX_SOFTWARE).
_INTERNAL = 70
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class _Parser(argparse.ArgumentParser):
    """argparse that answers bad arguments with one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise Usage(f"{message[:1].upper()}{message[1:]}.", then=f"{self.prog} --help")


def parser(command: str | None = None, *, alone: bool = False) -> argparse.ArgumentParser:
    """Build the parser; only `command`'s arguments are filled in (all of them for None), the others are left out if `alone`."""
    top = _Parser(
        prog="airlock",
        description="Run, trace, review, drill and write the revisions of an Alembic project on PostgreSQL.",
        epilog="airlock COMMAND --help tells a command's options; the README lists the exit codes.",
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, what in COMMANDS.items():
        if alone and name != command:
            continue
        sub = commands.add_parser(name, help=what, description=f"{what[:1].upper()}{what[1:]}.")
        if command in (name, None):
            importlib.import_module(f"airlock.commands.{name}").configure(sub)
            add_common(sub)
    return top


def main(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; print errors as one line on standard error."""
    debug = "--debug" in argv
    try:
        with _terminable():
            return _run(argv)
    except AirlockError as error:
        if debug:
            _traceback()
        _complain(str(error))
        return error.exit_code
    except BrokenPipeError:
        # The reader of standard output went away (`airlock status | head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if not _stands_somewhere():
            _complain("The current directory is no longer there. Try: cd to one that is")
            return Usage.exit_code
        if error.errno not in _NO_ROOM:
            return _fault(error, debug=debug)
        _complain(f"Standard output or a file could not be written: {error.strerror}.")
        return Usage.exit_code
    except KeyboardInterrupt:
        _complain("Stopped by SIGINT.")
        return 130
    except Terminated as stopped:
        _complain(f"Stopped by {stopped.signal.name}.")
        return 128 + stopped.signal
    except Exception as error:  # noqa: BLE001  the last line of defence: one line, no secret
        return _fault(error, debug=debug)


def _stands_somewhere() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True


def _run(argv: Sequence[str]) -> int:
    argv = defaults.command_first(argv, COMMANDS, _options)
    asked = argv[0] if argv and argv[0] in COMMANDS else next((word for word in argv if word in COMMANDS), "")
    _name_alembics(argv, asked)
    top = parser(asked, alone=argv[:1] == [asked])
    if asked:
        defaults.from_environment(_of(top, asked))
    arguments = top.parse_args(argv)
    if arguments.version:
        from importlib.metadata import version

        sys.stdout.write(f"airlock {version('airlock')}\n")
        return 0
    if arguments.command is None:
        raise Usage("No command given.", then="airlock --help")
    arguments.config = defaults.configuration(arguments.config)
    settings = read_settings(
        arguments.config.absolute().parent, frozenset(COMMANDS), also=working_directory(arguments.config)
    )
    if settings.options:
        unknown = defaults.from_settings(_of(top, asked), settings, asked)
        if unknown:
            defaults.refuse_unknown(unknown, settings, [_options(name) for name in COMMANDS])
        config = arguments.config
        arguments = top.parse_args(argv)
        arguments.config = config
    arguments.settings = settings
    _enter_project(arguments)
    from airlock.drivers.deferred_imports import import_alembic

    import_alembic()
    run = importlib.import_module(f"airlock.commands.{arguments.command}").run
    if not gc.isenabled():
        # Brings Alembic and SQLAlchemy: what comes after them is env.py's, and is collected as ever.
        importlib.import_module("airlock.project.project")
        gc.freeze()
        gc.enable()
        if asked in _CHILDREN and not getattr(arguments, "pending", False):
            from airlock.scratch import compiled
            from airlock.scratch.isolation import split_off

            split_off(*_CHILDREN[asked])
            # Its own look at the history compiles what the first child needs.
            compiled.keep_in(compiled.room())
    if asked in _REHEARSING and arguments.scratch == "embedded":
        arguments.scratch = _with_what_it_needs(arguments)
    return int(run(arguments))


def _with_what_it_needs(arguments: argparse.Namespace) -> str:
    """Take another embedded server where the usual one lacks extensions that the history creates, or ICU; say so."""
    from airlock.project import layout
    from airlock.scratch import embedded, installations
    from airlock.scratch.loading import unconnected

    with unconnected():
        where = layout.directories(arguments.config)
    if arguments.before:
        where = [*where, Path(arguments.before)]
    needed = installations.asked_for(where)
    spec = installations.fitting("embedded", needed)
    if spec != "embedded":
        found = embedded.available()
        more = needed & installations.there(found[int(spec.partition(":")[2])])
        lacked = ", ".join(sorted(more - installations.there(found[max(found)])))
        sys.stderr.write(
            f"--scratch {spec}: it has what the usual server lacks and the history needs: {lacked}\n"
        )
    return spec


def _of(top: argparse.ArgumentParser, command: str) -> argparse.ArgumentParser:
    """Find the parser of one command in that of all."""
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: argparse.ArgumentParser = action.choices[command]
            return found
    raise LookupError(command)


def _options(command: str) -> argparse.ArgumentParser:
    return _of(parser(command, alone=True), command)


def _name_alembics(argv: Sequence[str], asked: str) -> None:
    """Answer a command that is Alembic's alone by its line. Raises Usage."""
    found = next((word for word in argv if word in ALEMBICS), None)
    if found is not None and not asked:
        ours_alone = _options("status")._actions
        values = {name for action in ours_alone if action.nargs != 0 for name in action.option_strings}
        words = [
            word for before, word in itertools.pairwise(["", *argv])
            if not word.startswith("-") and before not in values
        ]  # fmt: skip
        if found not in words:
            return
        behind = " ".join(words[words.index(found) + 1 :])
        ours = f", or airlock {ALEMBICS[found]}" if ALEMBICS[found] else ""
        raise Usage(f"{found!r} is Alembic's own command.", then=f"alembic {found} {behind}".rstrip() + ours)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C: scratch databases are dropped, child processes ended. A later second one kills.

    One that comes at once is the same: timeout(1) sends it to its child and to the group, which the child is in.
    So does SIGHUP, unless whoever started us has it ignored (`nohup`): a terminal that goes must not leave them.
    SIGINT stops a run also where a script has started it in the background, which has it ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, _frame: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        time.sleep(_AT_ONCE)
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(number)

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, unwind),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, unwind)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fault(error: Exception, *, debug: bool) -> int:
    """Say what nobody has foreseen; a driver's error has a place in the tree all the same."""
    if debug:
        _traceback()
    if type(error).__module__.partition(".")[0] in {"psycopg2", "psycopg", "asyncpg"}:
        from airlock.database.server_errors import classify

        found = classify(error)
        _complain(str(found))
        return found.exit_code
    _complain(
        f"A fault of airlock itself: {type(error).__name__}: {error} Try: the same with --debug, and report it."
    )
    return _INTERNAL


def entry() -> NoReturn:
    """Be the console script: run the command line and exit with its code."""
    # Looking for garbage among modules that are being loaded, and once more at the end, takes a third of the time that
    # a run with nothing to do needs (`bench.upgrade`), and finds none.
    gc.disable()
    # Closed by whoever started us (`>&-`): Python has no stream there at all.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    # A terminal that knows no "…" (Latin-1, C) must not cost a verdict. Standard error never fails of a character.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # The interpreter flushes again as it ends, and would exit with a code of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1 if stream is sys.stdout else 2)
    gc.freeze()
    sys.exit(code)


def _enter_project(arguments: argparse.Namespace) -> None:
    """Stand in the project's directory, where relative paths of Alembic and of env.py count from.

    Paths on the command line are made absolute first: they count from where the user stands. What only env.py hears of
    goes into the environment, which the processes that run it inherit.
    """
    config, arguments.called_from = Path(arguments.config), Path.cwd()
    for name, equals, value in (one.partition("=") for one in arguments.env):
        if not name.strip() or not equals:
            raise Usage("--env wants NAME=VALUE.")
        os.environ[name] = value
    for name, said in (
        (SECTION, arguments.name), (TAG, arguments.tag), (CONFIGURE, arguments.configure),
    ):  # fmt: skip
        if said is not None:
            os.environ[name] = said
    for name in ("log", "out", "export", "journal", "baseline", "write_baseline", "before"):
        if isinstance(getattr(arguments, name, None), str):
            setattr(arguments, name, str(Path(getattr(arguments, name)).absolute()))
    if arguments.before:
        os.environ[BEFORE] = arguments.before
    arguments.config = config.absolute()
    if config.absolute().parent.is_dir():
        os.chdir(working_directory(config))


def _complain(line: str) -> None:
    # Nobody may be left to read it; the exit code still says it.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"airlock: {' '.join(scrub(line).split())}\n")


def _traceback() -> None:
    import traceback

    sys.stderr.write(scrub(traceback.format_exc()))
