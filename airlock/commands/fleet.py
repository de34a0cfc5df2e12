"""`airlock fleet upgrade|downgrade|status --targets FILE|SQL`."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from airlock import api
from airlock.commands.answer import answer
from airlock.commands.arguments import add_common, at_least
from airlock.commands.downgrade import configure_losses
from airlock.commands.migrating import configure_budgets, log_of, losses_of, seconds, signed, write_line
from airlock.records.errors import NOT_EXAMINED
from airlock.records.fleet import (
    FleetLosses,
    FleetProgress,
    FleetRequest,
    FleetVerdict,
    TargetEvent,
)
from airlock.records.secrets import scrub
from airlock.records.upgrade import Noted
from airlock.reports import fleet as text
from airlock.reports.text import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.records.fleet import FleetEvent

# Where lines scroll away, one of progress every ten seconds is enough; a terminal has one that is redrawn.
_PROGRESS_SECONDS = 10.0
_JOURNAL = "airlock-fleet.journal"
_CLEAR = "\r\x1b[K"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the three acts, each with the options that it takes."""
    acts = parser.add_subparsers(dest="act", metavar="ACT", required=True, parser_class=type(parser))
    upgrade = acts.add_parser("upgrade", help="take every target to a revision (default: head)")
    upgrade.add_argument(
        "target", nargs="?", default="head", metavar="TARGET", help="a revision, head or heads"
    )
    downgrade = acts.add_parser(
        "downgrade", help="take every target back, counting first what all of them lose"
    )
    downgrade.add_argument("target", metavar="TARGET", help="a revision or base")
    status = acts.add_parser("status", help="a table of versions and of what is behind")
    for act in (upgrade, downgrade, status):
        act.add_argument(
            "--targets", required=True, type=api.list_of, metavar="FILE|SQL",
            help="a file with one target a line, - for standard input, or a query to --url with one a row",
        )  # fmt: skip
        act.add_argument(
            "--concurrency", type=at_least(1), default=4, metavar="N",
            help="targets at a time; each holds three connections (default: %(default)s)",
        )  # fmt: skip
    for act in (upgrade, downgrade):
        order = act.add_argument_group("order")
        order.add_argument(
            "--waves", type=_waves, default=(1, 0.1, 1.0), metavar="LIST",
            help="how far each wave reaches, in targets or as a share (default: 1,10%%,100%%)",
        )  # fmt: skip
        order.add_argument(
            "--max-failures", type=at_least(1), default=1, metavar="N",
            help="begin no further target after so many have failed (default: 1)",
        )  # fmt: skip
        order.add_argument(
            "--target-timeout", type=seconds, default=None, metavar="TIME",
            help="end the run of a target that takes longer (default: 0, no limit)",
        )  # fmt: skip
        order.add_argument(
            "--journal", default=None, metavar="FILE",
            help=f"what is done; the same again goes on from it (default: {_JOURNAL} beside the ini)",
        )  # fmt: skip
        order.add_argument(
            "--dry-run", action="store_true",
            help="apply all in scratch, once for targets that stand alike; only read the targets",
        )  # fmt: skip
        configure_budgets(act)
    configure_losses(downgrade)
    for act in (upgrade, downgrade, status):
        add_common(act)
        # What stands before the act (`airlock fleet -c FILE upgrade`) must not be overwritten by a default behind it.
        for option in act._actions:
            if option.dest in {"config", "x", "url", "scratch", "json", "log", "debug"}:
                option.help = (option.help or "").replace("%(default)s", str(option.default))
                option.default = argparse.SUPPRESS


def run(arguments: argparse.Namespace) -> int:
    """Do the act on every target of the list."""
    return _status(arguments) if arguments.act == "status" else _migrate(arguments)


def _status(arguments: argparse.Namespace) -> int:
    found = api.fleet_status(
        arguments.config, arguments.targets, url=arguments.url, concurrency=arguments.concurrency,
        x_arguments=arguments.x,
    )  # fmt: skip
    answer(arguments, text.status_document(found), text.status_text(found).splitlines())
    return NOT_EXAMINED if any(one.current is None for one in found.targets) else 0


def _migrate(arguments: argparse.Namespace) -> int:
    with _emitting(arguments) as emit:
        fleet = FleetRequest(
            waves=arguments.waves,
            concurrency=arguments.concurrency,
            max_failures=arguments.max_failures,
            target_s=arguments.target_timeout or None,
            # The door stands beside the ini by now, and has made a name that was given absolute.
            journal=Path(arguments.journal or _JOURNAL),
            emit=emit,
        )
        losses = losses_of(arguments) if arguments.act == "downgrade" else {}
        migrate = api.fleet_upgrade if arguments.act == "upgrade" else api.fleet_downgrade
        return migrate(
            arguments.config,
            arguments.targets,
            arguments.target,
            url=arguments.url,
            request=fleet,
            lock_timeout_s=arguments.lock_timeout,
            # As in PostgreSQL: 0 is no limit.
            statement_timeout_s=arguments.statement_timeout or None,
            wait_s=arguments.wait,
            repair=arguments.repair,
            dry_run=arguments.dry_run,
            scratch=arguments.scratch,
            x_arguments=arguments.x,
            **losses,
        ).exit_code


def _waves(given: str) -> tuple[int | float, ...]:
    found: list[int | float] = []
    for word in given.split(","):
        share = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*", word, re.ASCII)
        number = re.fullmatch(r"\s*([1-9]\d{0,8})\s*", word, re.ASCII)
        if share is not None and 0 < float(share.group(1)) <= 100:
            found.append(float(share.group(1)) / 100)
        elif number is not None:
            found.append(int(number.group(1)))
        else:
            raise argparse.ArgumentTypeError(f"{word.strip()!r} is no wave; write 1,10%,100%")
    return tuple(found)


@contextlib.contextmanager
def _emitting(arguments: argparse.Namespace) -> Iterator[Callable[[FleetEvent], None]]:
    """Write progress to standard error and data to standard output, every event to the log."""
    with log_of(arguments) as log:
        lines = _Lines(sys.stdout, sys.stderr, terminal=sys.stderr.isatty() and not arguments.json)

        def emit(event: FleetEvent) -> None:
            if log is not None:
                write_line(log, text.json_line(event, **signed()))
            if arguments.json:
                write_line(sys.stdout, text.json_line(event))
            else:
                lines.show(event)

        try:
            yield emit
        finally:
            lines.clear()


class _Lines:
    """Lines that scroll, and below them on a terminal one that says how far the run is."""

    def __init__(self, out: TextIO, err: TextIO, *, terminal: bool) -> None:
        self._out = out
        self._err = err
        self._terminal = terminal
        self._drawn = False
        self._progress_at = time.monotonic()
        self._notes: set[str] = set()

    def show(self, event: FleetEvent) -> None:
        if isinstance(event, FleetProgress):
            self._progress(event)
            return
        if isinstance(event, TargetEvent) and isinstance(event.told, Noted):
            # What is so of one database of a server is so of all: once is enough.
            if event.told.message in self._notes:
                return
            self._notes.add(event.told.message)
        line = text.text(event)
        if line is not None:
            self.clear()
            write_line(self._out if isinstance(event, (FleetVerdict, FleetLosses)) else self._err, line)

    def clear(self) -> None:
        """Take the line of progress away."""
        if self._drawn:
            self._draw("")
            self._drawn = False

    def _progress(self, event: FleetProgress) -> None:
        now = time.monotonic()
        if self._terminal:
            self._draw(shorten(scrub(text.progress(event)), 120))
            self._drawn = True
        elif now - self._progress_at >= _PROGRESS_SECONDS:
            self._progress_at = now
            write_line(self._err, f"  {text.progress(event)}")

    def _draw(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._err.write(f"{_CLEAR}{line}")
            self._err.flush()
