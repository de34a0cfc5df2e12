"""The parent's side of a drill: scratch databases, children that cannot reach any other, and their report."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.operations.drill import side_by_side, whole_way
from airlock.operations.drill.messages import (
    WORTH_COMPARING,
    Ascent,
    At,
    Climbed,
    Finished,
    Options,
    WantsShared,
)
from airlock.operations.drill.order import laid_out
from airlock.records.drill import NOT_EXAMINED, CutShort, DrillProgress, DrillReport, RevisionProof
from airlock.records.errors import NotExamined
from airlock.records.shared import ROLE
from airlock.scratch import memory
from airlock.scratch.isolation import ChildFailed, Children, ended_by, isolated, prepare
from airlock.scratch.loading import opened
from airlock.scratch.servers import scratch_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from airlock.project.project import RevisionFacts
    from airlock.records.rows import Fill, Rate
    from airlock.scratch.servers import ScratchDatabase, ScratchServer

ROWS = 40
# On a few dozen rows nothing takes so many seconds but what goes on up to the last day or the largest number that a row holds.
LONGEST_STATEMENT = 60
_CHILD = "airlock.operations.drill.child"
# So many revisions are applied again for each that leaves its database unfit, rather than started a process for.
_NEAR = 8


def drill(
    config: Path,
    *,
    from_to: str | None = None,
    last: int | None = None,
    start: tuple[str, ...] | None = None,
    scratch: str = "embedded",
    like_major: int | None = None,
    rows: int = ROWS,
    traffic: int = 0,
    blocker: bool = False,
    crash: bool = False,
    x_arguments: Sequence[str] = (),
    progress: Callable[[DrillProgress], None] | None = None,
    cut_short: Callable[[DrillReport], None] = lambda _: None,
) -> DrillReport:
    """Rehearse the revisions of a range in scratch databases and tell what was proved.

    `last` keeps the range's last so many; `start` names the heads a target stands at: what it lacks is examined.
    No target is contacted. Every revision of the range gets a verdict, the same whatever the range. One scratch database
    serves on as long as each revision leaves it as its upgrade did; else the next starts in a copy of one that was only
    ever upgraded. A long range is drilled in parts at once, a core and an embedded server each. Where an exception ends it, a
    signal's too, `cut_short` gets the verdicts there are; by then the scratch databases are dropped and the servers stopped.
    Raises NotExamined where there is no scratch server or env.py does not run on it.
    """
    began = time.perf_counter()
    prepare(_CHILD)
    history = opened(config, x_arguments)
    order, examined = laid_out(history, from_to, last, start)
    made = _project_rows(history.directory)
    places = [place for place, one in enumerate(order) if one.revision in examined]
    asked = {
        "config": str(config), "x_arguments": tuple(x_arguments), "from_to": from_to, "last": last, "start": start,
    }  # fmt: skip
    arguments = {**asked, "options": Options(rows, traffic, blocker, crash), "made": made}
    # What is measured (stalls, rates) is measured alone; a server that is given is one.
    alone = traffic or crash or rows >= WORTH_COMPARING or not scratch.startswith("embedded")
    few = rows <= memory.MOST_ROWS and not traffic
    ranges = side_by_side.parts(len(places), 1 if alone else side_by_side.workers())
    telling = side_by_side.InOrder(progress or (lambda _: None), len(ranges))
    children = Children()

    runs: dict[int, _Run] = {}

    def part(number: int, positions: range) -> None:
        with scratch_server(scratch, like_major, in_memory=few) as server, contextlib.ExitStack() as kept:
            if not (traffic or crash or rows >= WORTH_COMPARING):
                server.limit_statements(LONGEST_STATEMENT)
            runs[number] = run = _Run(
                server, lambda now: telling.told(number, now), arguments, places, order, kept
            )  # fmt: skip
            run.go(positions)
            telling.ended(number)
            # The last one's server has all roles and tablespaces that the way up needs.
            if examined and positions.stop == len(places):
                run.stops = whole_way.stops(server, asked)

    def report(ended: BaseException | None = None) -> DrillReport:
        chosen = [one for one in order if one.revision in examined]
        done = [runs[number] for number in sorted(runs)]
        return _report(done, chosen, rows, traffic, crash=crash, began=began, ended=ended)

    try:
        with children.in_force():
            side_by_side.run(part, ranges, children)
    except BaseException as error:
        children.end()
        if any(run.proofs for run in runs.values()):
            cut_short(report(error))
        raise
    return report()


def _report(
    runs: Sequence[_Run],
    examined: Sequence[RevisionFacts],
    rows: int,
    traffic: int,
    *,
    crash: bool,
    began: float,
    ended: BaseException | None,
) -> DrillReport:
    stops = next((run.stops for run in runs if run.stops is not None), None)
    found = whole_way.judged(stops or {}, [proof for run in runs for proof in run.proofs])
    proofs = {proof.revision: proof for proof in found}
    begun = {run.at for run in runs}
    by = ended_by(ended) if ended else ""
    complete = tuple(
        proofs.get(one.revision)
        or RevisionProof(one.revision, one.title, NOT_EXAMINED, _why(by, begun=one.revision in begun))
        for one in examined
    )
    left = tuple(one.revision for one in examined if one.revision not in proofs)
    fills = {name: fill for run in runs for name, fill in run.fills.items()}
    rates = {name: rate for run in runs for name, rate in run.rates.items()}
    return DrillReport(
        runs[-1].server.version, complete, tuple(fills[name] for name in sorted(fills)),
        tuple(dict.fromkeys(role for run in runs for role in run.roles)), rows, traffic, crash,
        (time.perf_counter() - began) * 1000, sum(run.rows_made for run in runs), sum(run.fill_ms for run in runs),
        tuple(rates[name] for name in sorted(rates)), CutShort(by, left, stops is not None) if ended else None,
    )  # fmt: skip


def _why(by: str, *, begun: bool) -> str:
    """Say why a revision of the range has no proof."""
    if not by:
        return "the drill did not get to it"
    return f"the drill was stopped {'while it examined this' if begun else 'before it got to it'}: {by}"


class _Run:
    """Children one after the other, until one gets to the end of the range."""

    def __init__(
        self, server: ScratchServer, progress: Callable[[DrillProgress], None], arguments: dict[str, Any],
        places: Sequence[int], order: Sequence[RevisionFacts], kept: contextlib.ExitStack,
    ) -> None:  # fmt: skip
        self.server = server
        self.progress = progress
        self.arguments = arguments
        self.places = places
        self.order = order
        self.kept = kept
        self.end = len(places)
        self.first = 0
        self.template: ScratchDatabase | None = None
        self.way = Ascent()
        self.proofs: list[RevisionProof] = []
        # The revision that is being examined, and what the whole way says where this run has taken it.
        self.at = ""
        self.stops: dict[str, str] | None = None
        self.fills: dict[str, Fill] = {}
        self.roles: list[str] = []
        self.rows_made, self.fill_ms = 0, 0.0
        self.rates: dict[str, Rate] = {}

    def go(self, positions: range) -> None:
        self.first, self.end = positions.start, positions.stop
        position: int | None = self.first
        while position is not None and position < self.end:
            ahead = self.places[position] - self.way.stands
            try:
                if ahead > _NEAR and position + 1 < self.end:
                    self._climb(position)
                else:
                    position = self._prove(position)
            except (NotExamined, ChildFailed) as error:
                # Where nothing has been seen yet, env.py runs on no database here: that is no revision's verdict.
                if not self.way.stands and not self.proofs:
                    raise
                self._leave_out(error)
                return

    def _leave_out(self, error: NotExamined | ChildFailed) -> None:
        """Say of each revision that is left why it is not examined."""
        reason = str(error) if isinstance(error, NotExamined) else f"the drill broke off: {error.told}"
        for place in self.places[self.first + len(self.proofs) : self.end]:
            facts = self.order[place]
            self.proofs.append(RevisionProof(facts.revision, facts.title, NOT_EXAMINED, reason))

    def _climb(self, position: int) -> None:
        """Bring the template up to a revision, as far as a child gets; it is only ever upgraded."""
        if self.template is None:
            self.template = self.kept.enter_context(self.server.database())
        stands = self.way.stands
        try:
            for message in self._child("climb", self.template, position):
                if isinstance(message, At):
                    stands = message.stands
                elif isinstance(message, Climbed):
                    self.way = message.way
                elif isinstance(message, WantsShared):
                    self._make(message)
        except ChildFailed:
            self.way = replace(self.way, stands=stands)
            self._went_down(stands)

    def _prove(self, position: int) -> int | None:
        """Run one child; return where the next must start, None at the end."""
        current: DrillProgress | None = None
        stands = self.way.stands
        with self.server.database(self.template) as database:
            try:
                for message in self._child("prove", database, position):
                    if isinstance(message, DrillProgress):
                        current = message
                        self.at = "" if message.phase == "building" else message.revision
                    elif isinstance(message, At):
                        stands, current = message.stands, None
                    elif isinstance(message, RevisionProof):
                        self.proofs.append(message)
                        position += 1
                    elif isinstance(message, WantsShared):
                        self._make(message)
                        return message.position
                    elif isinstance(message, Finished):
                        self._add(message)
                        return message.position
            except ChildFailed as error:
                if current is None or current.phase == "building":
                    if stands < self.places[position]:
                        self._went_down(stands)
                        return position
                    raise
                # env.py or a revision took the process down: this one is not examined, the next starts afresh.
                facts = self.order[self.places[position]]
                reason = f"the drill broke off: {error.told}"
                self.proofs.append(RevisionProof(facts.revision, facts.title, NOT_EXAMINED, reason))
                return position + 1
        return None

    def _child(self, function: str, database: ScratchDatabase, position: int) -> Any:
        given = {**self.arguments, "position": position, "database": database, "way": self.way}
        if function == "prove":
            given["end"] = self.end
        for message in isolated(f"{_CHILD}:{function}", given, scratch=database):
            # What is applied to get to a part's beginning is examined by the part below.
            if isinstance(message, DrillProgress) and (message.number > self.first or not self.first):
                self.progress(message)
            yield message

    def _went_down(self, place: int) -> None:
        """Remember a revision that took its process down where it was only to be applied; raise if that is known already."""
        revision = self.order[place].revision
        if revision in self.way.killers:
            raise
        self.way = replace(self.way, killers=self.way.killers | {revision})

    def _add(self, done: Finished) -> None:
        self.fills |= {one.table: one for one in done.fills}
        self.rows_made += done.rows_made
        self.fill_ms += done.fill_ms
        self.rates |= {one.table: one for one in done.rates}

    def _make(self, wanted: WantsShared) -> None:
        """Make a role or a tablespace, or note that it cannot be made: what needs it is then not examined."""
        try:
            made = self.server.ensure(wanted.lacks)
        except client.Error:
            made = False
        if made and wanted.lacks.kind == ROLE:
            self.roles.append(wanted.lacks.name)
        if not made:
            self.way = replace(self.way, beyond_help=self.way.beyond_help | {wanted.lacks})


def _project_rows(directory: Path) -> dict[str, str]:
    """Read rows that the project makes itself: `tests/rows/<schema>.<table>.sql`."""
    return {path.stem: path.read_text() for path in sorted((directory / "tests" / "rows").glob("*.*.sql"))}
