"""One tree of errors, one exit code each.

An error carries three sentences and no password: what happened, where the database now stands, and the
next command. `cli.py` prints them as one line and exits with the error's code.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.records.review import Review
    from airlock.records.trace import TraceReport

# What helps where env.py or a revision imports what is not there.
MISSING_MODULE = (
    "pip install it beside airlock; for a module of the project's own, prepend_sys_path in the ini"
)


def missing_module(error: BaseException | None) -> str:
    """Name the module for want of which an error was raised, whatever was made of that since; "" where none was."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ModuleNotFoundError):
            return error.name or ""
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return ""


DONE = 0
REFUSED = 1
NOT_EXAMINED = 3


class AirlockError(Exception):
    """Say in one line what happened, where the database stands and what to do next.

    `message` is what happened, `standing` the state the database was left in, `then` the next command.
    Whoever raises one puts no URL and no bound value into any of them.
    """

    exit_code = REFUSED

    def __init__(self, message: str, *, standing: str = "", then: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.standing = standing
        self.then = then

    def __str__(self) -> str:
        """Join the sentences that are there."""
        parts = [self.message, self.standing, f"Try: {self.then}" if self.then else ""]
        said = [" ".join(part.split()) for part in parts if part.strip()]
        # A server's or a driver's message ends without a full stop, Python's often with a bracket or a quotation mark.
        ended = [f"{part}." if part[-1].isalnum() or part[-1] in ")]}'\"" else part for part in said[:-1]]
        return " ".join(ended + said[-1:])


class Refused(AirlockError):
    """The answer is no: a fault, a loss, an irreversible step, drift."""

    exit_code = REFUSED


class Usage(AirlockError):
    """Bad arguments or configuration, or a target revision that makes no sense here."""

    exit_code = 2


class NotExamined(AirlockError):
    """Nothing was refused, but something that had to be looked at was not."""

    exit_code = NOT_EXAMINED


class Unreachable(AirlockError):
    """The server did not answer; trying again later may help. `used_up`: it has no connection left for us."""

    exit_code = 10
    used_up = False


class Denied(AirlockError):
    """Login or a permission was refused."""

    exit_code = 11


class WrongTarget(AirlockError):
    """The database does not exist, is read-only, is a standby, or is not the leased one."""

    exit_code = 12


class LeaseHeld(AirlockError):
    """Another run holds the lease for longer than `--wait`."""

    exit_code = 20


class LockBudgetSpent(AirlockError):
    """No lock within the budget; nothing changed since the last finished revision."""

    exit_code = 21


class StatementBudgetSpent(AirlockError):
    """A statement ran past its budget and was undone."""

    exit_code = 22


class HistoryFault(AirlockError):
    """Version rows and history do not fit: unknown revision, several heads, overlapping or NULL rows."""

    exit_code = 30


class RevisionFailed(AirlockError):
    """A revision failed and was undone. `seen` is what a trace has seen all the same, `reviewed` a review; else None."""

    exit_code = 40
    seen: TraceReport | None = None
    reviewed: Review | None = None


class HalfApplied(AirlockError):
    """A revision is half applied and needs the repair that the message names."""

    exit_code = 41


class ConnectionLost(AirlockError):
    """The connection ended mid-way."""

    exit_code = 50


class Terminated(BaseException):
    """SIGTERM or SIGHUP, on its way through whatever cleans up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


class Interrupted(AirlockError):
    """A signal ended the run; the exit code is 128 plus its number."""

    def __init__(self, signal_number: int, *, standing: str = "", then: str = "") -> None:
        names = {1: "SIGHUP", 2: "SIGINT", 15: "SIGTERM"}
        super().__init__(
            f"Stopped by {names.get(signal_number, f'signal {signal_number}')}.", standing=standing, then=then
        )
        self.exit_code = 128 + signal_number
