"""The parent's side of `airlock revision`: write, look again, trace, drill, and fill in what was seen."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airlock.drivers import client
from airlock.operations.built import Built, answers, built
from airlock.operations.revision.comparison import compared
from airlock.operations.revision.placing import placed
from airlock.operations.revision.written.docstrings import observed
from airlock.operations.revision.written.files import remove, version_files
from airlock.operations.revision.written.questions import NO_RENAME
from airlock.records.errors import AirlockError, NotExamined
from airlock.records.revision import UNPLACED, Likely, Placement, Proof, Remark, Revised, WrittenRevision
from airlock.scratch.isolation import ChildFailed
from airlock.scratch.loading import opened
from airlock.scratch.spare_servers import serving_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airlock.operations.revision.child import Found
    from airlock.project.project import Project
    from airlock.records.difference import Difference
    from airlock.scratch.servers import ScratchDatabase, ScratchServer

_CHILD = "airlock.operations.revision.child"
ROWS = 2_000


def revise(
    config: Path,
    message: str | None,
    *,
    renames: Sequence[str] = (),
    scratch: str = "embedded",
    rows: int = ROWS,
    x_arguments: Sequence[str] = (),
    ask: Callable[[Likely], bool] | None = None,
    keep: bool = False,
    sql_form: bool = False,
    reshaped: Sequence[str] = (),
    placement: Placement = UNPLACED,
    progress: Callable[[str], None] = lambda _: None,
) -> Revised:
    """Write the revisions that lead from the heads to the models, and prove them in scratch.

    Writes files into the project's versions directory, and removes them again where they fail (their trace, their
    drill, the comparison afterwards, an interruption), unless `keep`; contacts no target. `sql_form`: all as SQL. `ask` answers
    whether a likely rename is one; without it, a likely rename that `renames` does not settle is refused and nothing
    is written. `reshaped` are columns that are split or merged, `placement` where in the history the revisions go. Raises
    HistoryFault where it does not say which of several heads they revise, NotExamined where scratch or the models cannot be had.
    """
    project = opened(config, x_arguments, begun=False)
    placement, low = placed(project, placement)
    with undone_unless_sound(project, keep=keep) as judge, serving_on():
        return judge(
            _revised(
                config,
                project,
                message,
                list(renames),
                scratch,
                rows,
                x_arguments,
                ask,
                progress,
                sql_form=sql_form,
                reshaped=reshaped,
                placement=placement,
                low=low,
            )
        )


@contextlib.contextmanager
def undone_unless_sound(project: Project, *, keep: bool) -> Iterator[Callable[[Revised], Revised]]:
    """Remove again the files that come within, unless what is judged at the end of it has not failed, or `keep`.

    Raises NotExamined for what fails in a child or on the way to scratch.
    """
    before = version_files(project)
    kept = False

    def judge(revised: Revised) -> Revised:
        nonlocal kept
        kept = keep or not revised.failed
        return dataclasses.replace(revised, kept=kept)

    try:
        yield judge
    except ChildFailed as error:
        raise _not_examined(error.told, project, before, keep=keep) from error
    except (client.Error, sa.exc.SQLAlchemyError) as error:
        raise _not_examined(str(error).strip().splitlines()[0], project, before, keep=keep) from error
    finally:
        if not kept and not keep:
            remove(version_files(project) - before)


def _not_examined(line: str, project: Project, before: frozenset[Path], *, keep: bool) -> NotExamined:
    written = len(version_files(project) - before)
    standing = "Nothing was written."
    if written:
        standing = "What was written is kept." if keep else "What was written is removed again."
    return NotExamined(
        f"env.py, a revision or the models failed in scratch: {line}", standing=standing,
        then="the same with --debug" + ("" if keep or not written else ", and --keep to look at the files"),
    )  # fmt: skip


def _revised(
    config: Path,
    project: Project,
    message: str | None,
    renames: list[str],
    scratch: str,
    rows: int,
    x_arguments: Sequence[str],
    ask: Callable[[Likely], bool] | None,
    progress: Callable[[str], None],
    *,
    sql_form: bool,
    reshaped: Sequence[str],
    placement: Placement,
    low: str,
) -> Revised:
    progress("bringing a scratch database to head")
    with built(config, x_arguments, project.heads, scratch=scratch, like_major=None) as (
        server,
        database,
        history,
    ):
        progress("comparing it with the models")
        found, written = _write(
            config, message, renames, x_arguments, server, database, ask, sql_form=sql_form, reshaped=reshaped,
            placement=placement,
        )  # fmt: skip
        if not written:
            return Revised(server.version, (), found.remarks, unmade=found.unmade)
        progress("looking again after what was written")
        left, differences = _again(config, x_arguments, server, database, history)
        remarks = found.remarks
        while left and written:
            # What had to wait for what stands there now: a type for a generated column that is gone, a view for its column.
            more, behind = _write(
                config, None, [NO_RENAME], x_arguments, server, database, None, sql_form=sql_form, reshaped=(),
                placement=placement.behind(written[-1].revision), behind=len(written),
            )  # fmt: skip
            written += behind
            before = left
            left, differences = _again(config, x_arguments, server, database, history)
            remarks = _still_to_be_said(remarks, before, more.remarks)
            if not behind or left == before:
                break
    high = written[-1].revision
    revised = Revised(server.version, tuple(written), remarks, left, differences, unmade=found.unmade)
    return proved(config, x_arguments, f"{low}:{high}", scratch, rows, revised, progress)


def _still_to_be_said(
    before: Sequence[Remark], written: Sequence[str], after: Sequence[Remark]
) -> tuple[Remark, ...]:
    """Leave out what was said of an object that has been written of since, and put behind it what is new."""
    kept = [one for one in before if not any(one.object in what for what in written)]
    return (*kept, *(one for one in after if one not in kept))


def _write(
    config: Path,
    message: str | None,
    renames: list[str],
    x_arguments: Sequence[str],
    server: ScratchServer,
    database: ScratchDatabase,
    ask: Callable[[Likely], bool] | None,
    *,
    sql_form: bool,
    reshaped: Sequence[str],
    placement: Placement,
    behind: int = 0,
) -> tuple[Found, list[WrittenRevision]]:
    """Compare and write; `behind` how many revisions of this call, which is dated after them."""
    while True:
        arguments: dict[str, Any] = {
            "config": str(config), "message": message, "renames": renames, "x_arguments": tuple(x_arguments),
            "ask": ask is not None, "sql_form": sql_form, "reshaped": tuple(reshaped), "behind": behind,
            "placement": placement,
        }  # fmt: skip
        found, *written = answers(server, database, f"{_CHILD}:write", arguments)
        if not found.likely or ask is None:
            return found, written
        # What was denied is not asked again.
        renames += [*(one.option for one in found.likely if ask(one)), "none"]


def _again(
    config: Path, x_arguments: Sequence[str], server: ScratchServer, database: ScratchDatabase, history: Built
) -> tuple[tuple[str, ...], tuple[Difference, ...]]:
    """Run what was written and compare again: with the models, and catalogue with catalogue."""
    arguments = {"config": str(config), "x_arguments": tuple(x_arguments)}
    (found,) = answers(server, database, f"{_CHILD}:compare", {**arguments, "upgrade": True})
    return found.what, compared(config, x_arguments, server, database, history, found.left_out)


def proved(
    config: Path,
    x_arguments: Sequence[str],
    from_to: str,
    scratch: str,
    rows: int,
    revised: Revised,
    progress: Callable[[str], None],
) -> Revised:
    """Trace and drill a range that was just written, and put what was seen into its files and the record."""
    from airlock.operations.trace import trace

    progress(f"tracing {from_to}")
    unproved = ""
    written = {one.revision for one in revised.written}
    try:
        seen = trace(config, from_to=from_to, scratch=scratch, rows=rows, x_arguments=x_arguments)
        # A range takes along what its revisions depend on.
        seen = dataclasses.replace(
            seen, revisions=tuple(one for one in seen.revisions if one.revision in written)
        )
        revised = dataclasses.replace(revised, trace=seen)
        for one in revised.written:
            observed(Path(one.path), one.revision, seen)
    except AirlockError as error:
        unproved = f"the trace stopped: {error}"
    progress(f"drilling {from_to}")
    try:
        proofs = drilled(config, x_arguments, from_to, scratch)
        revised = dataclasses.replace(revised, proofs=tuple(one for one in proofs if one.revision in written))
    except AirlockError as error:
        unproved = " ".join(part for part in (unproved, f"the drill stopped: {error}") if part)
    return dataclasses.replace(revised, unproved=unproved)


def drilled(config: Path, x_arguments: Sequence[str], from_to: str | None, scratch: str) -> tuple[Proof, ...]:
    """Drill a range on as many rows as `airlock drill` would, and give each revision's verdict.

    On as many as a trace wants, rows are told by their sums only: what changes meanwhile could not be told from what was
    there. Raises NotExamined where there is no drill.
    """
    if importlib.util.find_spec("airlock.operations.drill") is None:
        raise NotExamined("this airlock has no drill")
    drill = importlib.import_module("airlock.operations.drill").drill
    report = drill(config, from_to=from_to, scratch=scratch, x_arguments=x_arguments)
    return tuple(Proof(one.revision, one.verdict, one.reason or "") for one in report.revisions)


__all__ = ["Remark", "compared", "drilled", "revise"]
