"""What `upgrade` and `downgrade` share on the command line: budgets, the event stream and where it goes."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from airlock import api
from airlock.commands.progress_line import Begun, Live
from airlock.records.errors import Usage
from airlock.records.secrets import scrub, without_passwords
from airlock.records.upgrade import DOWN, UP, Blocked, Rehearsal, Retrying, StepBegun, Verdict
from airlock.reports import upgrade as text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.records.upgrade import Event

_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Read a time: `500ms`, `1s`, `10m`, `2h`, or plain seconds."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|min|m|h|)", text.strip(), re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 500ms, 1s, 10m or 2h")
    return min(float(found.group(1)) * _UNITS[found.group(2)], 30 * 86400.0)


def configure_budgets(parser: argparse.ArgumentParser) -> None:
    """Add the options that both directions share."""
    budgets = parser.add_argument_group("budgets")
    for option, default, what in (
        ("--lock-timeout", api.LOCK_TIMEOUT_S, "how long others may have to wait behind us (default: 1s)"),
        ("--statement-timeout", None, "how long one statement may run (default: 0, no limit)"),
        ("--wait", api.WAIT_S, "the whole run's deadline for the lease and for locks (default: 10m)"),
    ):
        budgets.add_argument(option, type=seconds, default=default, metavar="TIME", help=what)
    parser.add_argument(
        "--repair",
        action="store_true",
        help="drop INVALID indexes, clear a half-applied revision's mark, go on",
    )


def configure_instead(parser: argparse.ArgumentParser) -> None:
    """Add what may be done in place of a run."""
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--dry-run",
        action="store_true",
        help="apply all in scratch, print SQL and times; only read the target",
    )
    instead.add_argument(
        "--sql", action="store_true", help="print the SQL as alembic --sql does; no database"
    )


def losses_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Gather what the command line says of losses."""
    return {name: getattr(arguments, name) for name in ("accept_loss", "accept_unknown_loss", "export")}


def go(arguments: argparse.Namespace, direction: str) -> int:
    """Migrate, and send every event where it was asked for."""
    if arguments.sql:
        # Imported here: Alembic and SQLAlchemy are most of what --help and a usage error would cost.
        from airlock.operations.offline import write_sql
        from airlock.project.project import Project

        project = Project.open(arguments.config, arguments.x)
        sys.stdout.write(without_passwords(write_sql(project, arguments.target, direction)))
        return 0
    losses: dict[str, Any] = {}
    if direction == DOWN:
        losses = losses_of(arguments)
    with _emitting(arguments, rehearsing=direction == DOWN or arguments.dry_run) as emit:
        verdict = (api.upgrade if direction == UP else api.downgrade)(
            arguments.config,
            arguments.target,
            url=arguments.url,
            lock_timeout_s=arguments.lock_timeout,
            # As in PostgreSQL: 0 is no limit.
            statement_timeout_s=arguments.statement_timeout or None,
            wait_s=arguments.wait,
            repair=arguments.repair,
            dry_run=arguments.dry_run,
            scratch=arguments.scratch,
            x_arguments=arguments.x,
            emit=emit,
            **losses,
        )
    return verdict.exit_code


@contextlib.contextmanager
def _emitting(arguments: argparse.Namespace, *, rehearsing: bool) -> Iterator[Callable[[Event], None]]:
    """Write progress to standard error and data to standard output, every event to the log."""
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(log_of(arguments))
        # While env.py runs, sys.stdout is standard error: what it prints is not data.
        out = sys.stdout
        live = Live(sys.stderr) if not arguments.json and sys.stderr.isatty() else None
        if live is not None:
            stack.callback(live.clear)
        begun: Begun | None = None
        if rehearsing:
            from airlock.scratch.isolation import watched

            begun = Begun()
            stack.enter_context(watched(begun))
            stack.callback(begun.end)

        def emit(event: Event) -> None:
            if begun is not None:
                begun.end()
            if log is not None:
                write_line(log, text.json_line(event, **signed()))
            if arguments.json:
                write_line(out, text.json_line(event))
            else:
                _print(event, out, live)

        yield emit


def _print(event: Event, out: TextIO, live: Live | None) -> None:
    if live is not None and isinstance(event, StepBegun):
        live.show(f"  {event.revision}  {event.title}")
    line = text.text(event)
    if line is None or (isinstance(event, Verdict) and event.exit_code):
        # The error's own line is the verdict of a run that failed; cli.py prints it.
        return
    if live is not None and not isinstance(event, (Blocked, Retrying)):
        live.clear()
    # Data goes to standard output, progress to standard error.
    write_line(out if isinstance(event, (Verdict, Rehearsal)) else sys.stderr, line)


@contextlib.contextmanager
def log_of(arguments: argparse.Namespace) -> Iterator[TextIO | None]:
    """Open `--log` for appending until the block ends; None where there is none. Raises Usage."""
    if not arguments.log:
        yield None
        return
    try:
        log = Path(arguments.log).open("a", encoding="utf-8")  # noqa: SIM115  closed by _close
    except OSError as error:
        raise Usage(f"--log cannot be written: {error.strerror}.") from error
    try:
        yield log
    finally:
        _close(log)


def signed() -> dict[str, str]:
    """Say when and by whom, for a line of the log."""
    return {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "by": _who()}


def write_line(stream: TextIO, line: str) -> None:
    """Write a line without any secret; what cannot be written is let go."""
    # A reader that went away, or a full disk under the log, is no reason to stop half way through a history.
    with contextlib.suppress(OSError, ValueError):
        stream.write(scrub(line) + "\n")
        stream.flush()


def _close(stream: TextIO) -> None:
    # What could not be written is tried again here.
    with contextlib.suppress(OSError):
        stream.close()


@functools.cache
def _who() -> str:
    """Name the person or pipeline that runs this: user and host, as the operating system knows them."""
    import getpass

    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return f"uid {os.getuid()}@{socket.gethostname()}"
