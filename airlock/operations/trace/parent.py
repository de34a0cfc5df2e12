"""The parent's side of a trace: a scratch database, a child that cannot reach any other, and its report."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.database import missing
from airlock.drivers import client
from airlock.operations.trace.messages import Begin, Ordered
from airlock.records.errors import MISSING_MODULE, AirlockError, NotExamined, RevisionFailed
from airlock.records.shared import ROLE
from airlock.records.trace import Stopped, TracedRevision, TraceReport, Unfilled
from airlock.scratch import installations, memory
from airlock.scratch.isolation import ChildFailed, ended_by, isolated, prepare
from airlock.scratch.servers import scratch_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from airlock.operations.drill.missing_objects import Gap
    from airlock.records.shared import Shared
    from airlock.scratch.servers import ScratchDatabase, ScratchServer

_CHILD = "airlock.operations.trace.child"


def trace(
    config: Path,
    *,
    from_to: str | None = None,
    start: tuple[str, ...] | None = None,
    scratch: str = "embedded",
    like_major: int | None = None,
    rows: int = 2_000,
    x_arguments: Sequence[str] = (),
    bundle: Callable[[object], None] | None = None,
    blocker_s: float = 0.0,
    cut_short: Callable[[TraceReport], None] = lambda _: None,
    progress: Callable[[TracedRevision], None] = lambda _: None,
) -> TraceReport:
    """Run the revisions of `from_to` up, down and up again in a scratch database, and report each.

    `start` names the heads that a database stands at; the revisions traced are then those up to the
    range's end that it lacks. `bundle` gets what only a review needs: the `Catalogue` and each `Written`
    script. With `blocker_s` the upgrades are taken once more, each statement behind a reader of so many seconds. No target
    is contacted. Roles that the history names and the scratch server lacks are made there.
    What scratch cannot apply is not examined, and the rest is. `cut_short` gets what was seen where an exception ends
    it, a signal's too; `progress` gets each step as soon as it was seen. Raises RevisionFailed at the end where a revision
    fails by itself; its `seen` is the report of all.
    """
    arguments = {"config": config, "x_arguments": tuple(x_arguments), "from_to": from_to, "start": start}
    more = {"rows": rows, "bundle": bundle is not None}
    prepare(_CHILD)
    with contextlib.ExitStack() as kept:
        server = kept.enter_context(scratch_server(scratch, like_major, in_memory=rows <= memory.MOST_ROWS))
        seen = _Seen(server, rows, progress)
        kept.push(lambda _, error, *__: cut_short(seen.until(error)) if error and seen.revisions else None)
        try:
            seen.follow(arguments, more)
        except (AirlockError, ChildFailed) as error:
            told = _told(error, server.version)
            if isinstance(told, RevisionFailed) and seen.revisions:
                told.seen = seen.report
            raise told from error
        if blocker_s > 0:
            seen.load(arguments, blocker_s)
        if seen.extension and all(one.unexamined for one in seen.revisions):
            raise _lacks(seen.extension, server.version)
        if bundle is not None:
            for one in seen.others:
                bundle(one)
        if seen.fault:
            failed = RevisionFailed(seen.fault)
            failed.seen = seen.report
            raise failed
        return seen.report


class _Seen:
    """What the children of one trace told, and the way from one to the next."""

    def __init__(self, server: ScratchServer, rows: int, progress: Callable[[TracedRevision], None]) -> None:
        self.server = server
        self.rows = rows
        self.progress = progress
        self.made: set[Shared] = set()
        self.beyond_help: set[Shared] = set()
        self.gaps: tuple[Gap, ...] = ()
        # How the first revision fails that fails by itself.
        self.fault = ""
        self.extension = ""
        self.revisions: list[TracedRevision] = []
        self.unfilled: dict[str, Unfilled] = {}
        self.others: list[object] = []
        self.order: tuple[str, ...] = ()
        self.blocker_s = 0.0

    @property
    def report(self) -> TraceReport:
        unfilled = tuple(self.unfilled[name] for name in sorted(self.unfilled))
        return TraceReport(
            self.server.version,
            self.rows,
            tuple(self.revisions),
            unfilled,
            tuple(sorted(one.name for one in self.made if one.kind == ROLE)),
            self.blocker_s,
        )

    def until(self, error: BaseException) -> TraceReport:
        """Report what was seen until an exception ended it; a revision's own failure is among that."""
        known = {one.revision for one in self.revisions}
        left = tuple(one for one in self.order if one not in known)
        if isinstance(error, RevisionFailed) and not left:
            return self.report
        return replace(self.report, stopped=Stopped(ended_by(error), left))

    def follow(self, arguments: dict[str, Any], more: dict[str, Any]) -> None:
        """Trace in one database after the other, until a child is through.

        Each further one is a copy of a template that only ever goes up: every revision is built once more at most,
        however many downgrades lead nowhere.
        """
        begin, stands, template = Begin(), 0, None
        templates = contextlib.ExitStack()
        try:
            while True:
                with self.server.database(template) as database:
                    onward = self._child({**arguments, **more, "database": database, "begin": begin})
                if onward is not None:
                    self.fault = self.fault or onward.fault
                    self.extension = self.extension or onward.extension
                    self._make(onward.lacks)
                    if not onward.order:
                        begin = Begin(beyond_help=frozenset(self.beyond_help))
                        continue
                if onward is None or (onward.position == len(onward.order) and not more["bundle"]):
                    return
                downs = (one.revision for one in self.revisions if one.direction == "down" and not one.stays)
                begin = replace(onward, downs=tuple(downs), fault="", extension="", lacks=None)
                if template is None or begin.position > stands:
                    kept = contextlib.ExitStack()
                    try:
                        template = self._further(arguments, kept, template, begin, stands)
                    finally:
                        templates.close()
                        templates = kept
                    stands = begin.position
                begin = replace(begin, gaps=self.gaps, beyond_help=frozenset(self.beyond_help))
        finally:
            templates.close()

    def _further(
        self, arguments: dict[str, Any], kept: contextlib.ExitStack, template: ScratchDatabase | None, begin: Begin,
        stands: int,
    ) -> ScratchDatabase:  # fmt: skip
        """Make the template that stands where `begin` goes on, kept until `kept` ends; with what turns out to be missing."""
        while True:
            known = {*self.made, *self.beyond_help}
            further = kept.enter_context(self.server.database(template))
            building = {
                **arguments, "order": begin.order[: begin.position], "position": stands,
                "gaps": self.gaps, "beyond_help": frozenset(self.beyond_help),
            }  # fmt: skip
            try:
                self.gaps += tuple(isolated(f"{_CHILD}:build", building, scratch=further))
            except (AirlockError, ChildFailed) as error:
                lacks = missing.shared(str(error))
                if lacks is None or lacks in known:
                    raise
                self._make(lacks)
                continue
            return further

    def load(self, arguments: dict[str, Any], seconds: float) -> None:
        """Take the upgrades once more in a database of their own, readers before them, and put to each what was seen."""
        self.blocker_s = seconds
        ups = {
            one.revision: place for place, one in enumerate(self.revisions)
            if one.direction == "up" and not one.unexamined
        }  # fmt: skip
        unseen = dict.fromkeys(ups, "a revision below it could not be taken up again")
        records = {name: self.revisions[place].statements for name, place in ups.items()}
        with self.server.database() as database:
            asked = {
                **arguments,
                "rows": self.rows,
                "database": database,
                "seconds": seconds,
                "records": records,
            }
            try:
                for revision, load, why in isolated(
                    "airlock.operations.trace.blocker_child:observe", asked, scratch=database
                ):
                    if revision in ups:
                        unseen.pop(revision)
                        step = self.revisions[ups[revision]]
                        self.revisions[ups[revision]] = replace(step, load=load, load_unseen=why)
            except (AirlockError, ChildFailed) as error:
                unseen = dict.fromkeys(unseen, error.line if isinstance(error, ChildFailed) else str(error))
        for name, why in unseen.items():
            self.revisions[ups[name]] = replace(self.revisions[ups[name]], load_unseen=why)

    def _make(self, lacks: Shared | None) -> None:
        """Make a role or a tablespace, or note that it cannot be made: what needs it is then not examined."""
        if lacks is None:
            return
        try:
            made = self.server.ensure(lacks)
        except client.Error:
            made = False
        (self.made if made else self.beyond_help).add(lacks)

    def _child(self, arguments: dict[str, Any]) -> Begin | None:
        for message in isolated(f"{_CHILD}:observe", arguments, scratch=arguments["database"]):
            if isinstance(message, TracedRevision):
                self.revisions.append(message)
                self.progress(message)
            elif isinstance(message, Ordered):
                self.order = message.revisions
            elif isinstance(message, Unfilled):
                self.unfilled[message.table] = message
            elif isinstance(message, Begin):
                return message
            else:
                self.others.append(message)
        return None


def _told(error: AirlockError | ChildFailed, version: str) -> AirlockError:
    """Tell what scratch lacks from what the revision does wrong, and both from a fault of airlock."""
    extension = missing.extension(str(error))
    if extension is not None:
        return _lacks(extension, version)
    if isinstance(error, AirlockError):
        return error
    lacks = error.line.startswith("ModuleNotFoundError")
    return NotExamined(
        f"{error.revision or 'env.py'} failed in scratch: {error.line}",
        then=MISSING_MODULE if lacks else "the same with --debug",
    )


def _lacks(extension: str, version: str) -> NotExamined:
    return NotExamined(
        f"The scratch server (PostgreSQL {version}) does not have the extension {extension}.",
        then=installations.line(extension),
    )
