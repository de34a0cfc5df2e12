"""From whatever ended an attempt to one error of the tree: what happened, who was in the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from alembic.util.exc import CommandError

from airlock.database.server_errors import classify, first_line, sqlstate
from airlock.database.signals import Stopped
from airlock.records.errors import (
    AirlockError,
    ConnectionLost,
    Denied,
    HalfApplied,
    HistoryFault,
    Interrupted,
    LockBudgetSpent,
    Refused,
    RevisionFailed,
    StatementBudgetSpent,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.operations.upgrade.steps import Steps

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_BUILD = rf"(?i)\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?P<index>{_NAME})\s+ON\s+(?:(?P<schema>{_NAME})\.)?{_NAME}"
_ALREADY_THERE = {"42P07", "42P06", "42710", "42701", "42723"}


def judge(error: BaseException, steps: Steps, standing: Callable[[], str]) -> AirlockError:
    """Name the failure of one attempt. Its `standing` is read from the database, after the fact."""
    found = _name(error, steps)
    step = steps.progress.step
    left = steps.progress.left_transaction
    if step is not None and left and not isinstance(found, Interrupted):
        found = _half(found, error, step, steps)
    if not found.standing:
        found.standing = standing()
    if step is not None and left:
        resumable = steps.project.revision(step).resumable
        found.standing += f" {step} is half applied" + (
            "; it is resumable: run the same again." if resumable else " and must be looked at."
        )
    if not found.then:
        found.then = _then(found, steps)
    return found


def _name(error: BaseException, steps: Steps) -> AirlockError:
    if steps.watch.number:
        return Interrupted(steps.watch.number)
    if isinstance(error, (Stopped, KeyboardInterrupt)):
        return Interrupted(2)
    if steps.lease.lost.is_set():
        return ConnectionLost(f"The lease was lost: {steps.lease.reason}.")
    reason = steps.observer.cancelled
    if reason == "lock budget":
        return LockBudgetSpent(_blocked(steps))
    if reason == "statement budget":
        return StatementBudgetSpent(
            f"{_where(steps)}A statement ran past its budget of {steps.request.statement_s} s."
        )
    own = next((cause for cause in _causes(error) if isinstance(cause, AirlockError)), None)
    if own is not None:
        return own
    return _of_alembic(error, steps) or _of_driver(error, steps)


def _of_alembic(error: BaseException, steps: Steps) -> AirlockError | None:
    text = first_line(error)
    if isinstance(error, CommandError):
        if (
            "Multiple head" in text
            or "overlaps" in text
            or "Can't locate" in text
            or "expected to match" in text
        ):
            return HistoryFault(text)
        return Usage(text)
    if isinstance(error, NotImplementedError) and steps.progress.step is not None:
        return Refused(f"{steps.progress.step} cannot be undone: {text or 'it raises NotImplementedError.'}")
    return None


def _of_driver(error: BaseException, steps: Steps) -> AirlockError:
    state = next((found for found in map(sqlstate, _causes(error)) if found), None)
    if state == "42703" and not steps.started:
        return HistoryFault(f"The version table has not the columns that Alembic reads: {first_line(error)}.")
    fresh = not (steps.progress.heads or steps.progress.done)
    if state in _ALREADY_THERE and steps.progress.step is not None and fresh:
        return HistoryFault(
            f"{steps.progress.step}: {first_line(error)}, and the version table has no row: these tables were made without it.",
            then="alembic stamp with the revision that the database matches",
        )
    found = classify(error)
    if isinstance(error, KeyError) and _file_line(error, steps):
        # Of the revision's own code: no setting that env.py looks for.
        found = RevisionFailed(f"KeyError: {first_line(error)}")
    if isinstance(found, LockBudgetSpent):
        return LockBudgetSpent(_blocked(steps) if state == "55P03" else f"{_where(steps)}{found.message}.")
    if isinstance(found, RevisionFailed) and steps.progress.step is None:
        return Usage(f"env.py failed: {found.message}")
    if isinstance(found, (RevisionFailed, StatementBudgetSpent, Denied)) and found.message:
        line = _file_line(error, steps)
        return type(found)(f"{_where(steps)}{found.message.rstrip('.')}.{line}", then=found.then)
    return found


def _half(found: AirlockError, error: BaseException, step: str, steps: Steps) -> AirlockError:
    """Say that a revision that left its transaction was not undone, whatever the server's message was."""
    if steps.project.revision(step).resumable and not isinstance(found, RevisionFailed):
        return found
    half = HalfApplied(found.message)
    verb = "upgrade" if steps.request.direction == "up" else "downgrade"
    if steps.project.revision(step).resumable:
        half.then = f"airlock {verb} again, when the cause is removed"
    elif built := _built_already(error):
        half.then = f"DROP INDEX CONCURRENTLY {built}, if a run that was cut has built it; then airlock {verb} --repair"
    else:
        half.then = f"airlock {verb} --repair, once what {step} has committed is undone"
    return half


def _built_already(error: BaseException) -> str | None:
    """Spell the index that a CREATE INDEX CONCURRENTLY finds there; None where the failure is another.

    Where client_connection_check_interval is 0 the server builds on when its client is gone (PostgreSQL 18, 19.3.2): a
    runner that is killed while it waits leaves a valid index and no version row.
    """
    for cause in _causes(error):
        build = re.match(_BUILD, str(getattr(cause, "statement", None) or ""))
        if build and sqlstate(cause) == "42P07":
            return f"{build['schema']}.{build['index']}" if build["schema"] else build["index"]
    return None


def _blocked(steps: Steps) -> str:
    blockers = steps.observer.blockers
    if not blockers:
        return f"{_where(steps)}No lock within {steps.request.lock_s:g} s."
    who = ", ".join(str(blocker) for blocker in blockers)
    return f"{_where(steps)}{blockers[0].waited_for} is held by {who}."


def _where(steps: Steps) -> str:
    return f"{steps.progress.step}: " if steps.progress.step else ""


def _file_line(error: BaseException, steps: Steps) -> str:
    """Name the last line of the revision's own file on the traceback."""
    step = steps.progress.step
    path = steps.project.revision(step).path if step is not None else None
    place = ""
    trace = error.__traceback__
    while trace is not None and path is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            place = f" ({path.name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _then(found: AirlockError, steps: Steps) -> str:
    verb = "upgrade" if steps.request.direction == "up" else "downgrade"
    target = "" if steps.request.target == "head" else f" {steps.request.target}"
    if isinstance(found, LockBudgetSpent):
        return f"airlock {verb}{target} --wait {max(60, round(steps.request.wait_s * 2))}s"
    if isinstance(found, StatementBudgetSpent):
        return f"airlock {verb}{target} with a larger --statement-timeout"
    if isinstance(found, (ConnectionLost, Interrupted)):
        return f"airlock {verb}{target}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
