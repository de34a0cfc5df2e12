"""The parent's side of a drill: scratch databases, children that cannot reach any other, and their report."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airlock.operations.drill import whole_way
from airlock.operations.drill.child import Finished, Stuck, WantsRole, chosen
from airlock.operations.drill.examination import Options
from airlock.records.drill import NOT_EXAMINED, DrillProgress, DrillReport, RevisionProof
from airlock.scratch.isolation import ChildFailed, isolated
from airlock.scratch.loading import opened
from airlock.scratch.servers import scratch_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from airlock.records.rows import Fill, Rate
    from airlock.scratch.servers import ScratchServer

ROWS = 40
_MOST_RESTARTS = 1_000


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
) -> DrillReport:
    """Rehearse the revisions of a range in scratch databases and tell what was proved.

    `last` keeps the range's last so many; `start` names the heads a target stands at: what it lacks is examined.
    No target is contacted. One scratch database serves all revisions; it is built anew only after a revision that
    left it unfit. Raises NotExamined where there is no scratch server or nothing builds on it.
    """
    began = time.perf_counter()
    history = opened(config, x_arguments)
    _, examined = chosen(history, from_to, last, start)
    made = _project_rows(config.parent)
    with scratch_server(scratch, like_major) as server:
        run = _Run(server, progress or (lambda _: None))
        asked = {
            "config": str(config), "x_arguments": tuple(x_arguments), "from_to": from_to, "last": last, "start": start,
        }  # fmt: skip
        options = Options(rows, traffic, blocker, crash)
        run.go({**asked, "options": options, "made": made}, len(examined))
        if examined and run.dead_end is None:
            run.proofs = list(whole_way.judged(server, asked, run.proofs))
        proofs = {proof.revision: proof for proof in run.proofs}
        complete = tuple(
            proofs.get(one.revision)
            or RevisionProof(
                one.revision, one.title, NOT_EXAMINED, f"not reached: {run.dead_end} cannot be applied"
            )
            for one in examined
        )
        return DrillReport(
            server.version, complete, tuple(run.fills), tuple(run.roles), rows, traffic, crash,
            (time.perf_counter() - began) * 1000, run.rows_made, run.fill_ms, run.rates,
        )  # fmt: skip


class _Run:
    """Children one after the other, until one gets to the end."""

    def __init__(self, server: ScratchServer, progress: Callable[[DrillProgress], None]) -> None:
        self.server = server
        self.progress = progress
        self.proofs: list[RevisionProof] = []
        self.fills: tuple[Fill, ...] = ()
        self.roles: list[str] = []
        self.dead_end: str | None = None
        self.rows_made, self.fill_ms = 0, 0.0
        self.rates: tuple[Rate, ...] = ()

    def go(self, arguments: dict[str, Any], total: int) -> None:
        position: int | None = 0 if total else None
        for _ in range(_MOST_RESTARTS):
            if position is None or position >= total:
                return
            position = self._one_child({**arguments, "position": position})

    def _one_child(self, arguments: dict[str, Any]) -> int | None:
        """Run one child; return where the next must start, None at the end."""
        with self.server.database() as database:
            current: DrillProgress | None = None
            try:
                for message in isolated(
                    "airlock.operations.drill.child:prove",
                    {**arguments, "database": database},
                    scratch=database,
                ):
                    if isinstance(message, DrillProgress):
                        current = message
                        self.progress(message)
                    elif isinstance(message, RevisionProof):
                        self.proofs.append(message)
                    elif isinstance(message, WantsRole):
                        return self._make_role(message)
                    elif isinstance(message, Stuck):
                        return message.position
                    elif isinstance(message, Finished):
                        self.fills, self.dead_end = message.fills, message.dead_end
                        self.rows_made, self.fill_ms = message.rows_made, message.fill_ms
                        self.rates = message.rates
            except ChildFailed as error:
                if current is None or current.number <= arguments["position"]:
                    raise
                # env.py or a revision took the process down: this one is refused, the next starts afresh.
                self.proofs.append(
                    RevisionProof(
                        current.revision,
                        current.revision,
                        NOT_EXAMINED,
                        f"the drill broke off: {error.line}",
                    )
                )
                return current.number
            return None

    def _make_role(self, wanted: WantsRole) -> int:
        made = self.server.ensure_roles((wanted.role,))
        if not made:
            from airlock.records.errors import NotExamined

            raise NotExamined(
                f"The role {wanted.role} cannot be made on the scratch server.", then="--scratch URL"
            )
        self.roles += made
        return wanted.position


def _project_rows(directory: Path) -> dict[str, str]:
    """Read rows that the project makes itself: `tests/rows/<schema>.<table>.sql`."""
    return {path.stem: path.read_text() for path in sorted((directory / "tests" / "rows").glob("*.*.sql"))}
