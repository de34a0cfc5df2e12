"""What a run over many targets has come to so far."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from airlock.records.errors import AirlockError
from airlock.records.fleet import FleetVerdict, TargetDone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.operations.fleet.journal import Journal
    from airlock.operations.fleet.targets import FleetTarget

# Of so many failures the verdict keeps the whole record; the journal has all.
_MOST_KEPT = 100


class Tally:
    """Count targets as they end; keep of those that ended well nothing but the number."""

    def __init__(self, targets: Sequence[FleetTarget], journal: Journal) -> None:
        self.since = time.monotonic()
        self.targets = len(targets)
        known = {one.identity: one.name for one in targets}
        self.done_before = len(known.keys() & journal.done.keys())
        self.changed = self.unchanged = self.failed = self.revisions = 0
        self.longest_block_ms = 0.0
        self.failures: list[TargetDone] = []
        self.codes: Counter[int] = Counter()
        self._tables = {
            (entry.place, entry.version_table): known[identity]
            for identity, entry in journal.done.items()
            if identity in known
        }

    @property
    def done(self) -> int:
        """Count the targets that are where they should be."""
        return self.done_before + self.changed + self.unchanged

    @property
    def ended(self) -> int:
        """Count the targets that this run has come to an end with, well or not."""
        return self.changed + self.unchanged + self.failed

    def twin(self, one: FleetTarget, table: str) -> str | None:
        """Name the target of the same database that keeps its version rows in the same table; None for nobody."""
        # Without a schema nobody knows where it is.
        if "." not in table:
            return None
        first = self._tables.setdefault((one.place, table), one.name)
        return first if first != one.name else None

    def count(self, outcome: TargetDone) -> None:
        """Add the end of one target."""
        self.revisions += outcome.revisions
        self.longest_block_ms = max(self.longest_block_ms, outcome.longest_block_ms)
        if outcome.exit_code:
            self.failed += 1
            self.codes[outcome.exit_code] += 1
            if len(self.failures) < _MOST_KEPT:
                self.failures.append(outcome)
        elif outcome.revisions:
            self.changed += 1
        else:
            self.unchanged += 1

    @property
    def not_begun(self) -> int:
        """Count the targets that nobody has touched."""
        return self.targets - self.done_before - self.ended

    def standing(self) -> str:
        """Say how far the run has come."""
        rest = f", {self.not_begun:,} not begun" if self.not_begun else ""
        return f"{self.done:,} of {self.targets:,} targets are done, {self.failed:,} failed{rest}."

    def failure(self) -> AirlockError | None:
        """Say that targets failed, with their exit code where it is the same for all; None where none did."""
        if not self.failed:
            return None
        first = self.failures[0]
        others = f" and {self.failed - 1:,} more" if self.failed > 1 else ""
        why = f": {first.message}" if self.failed == 1 else " (" + ", ".join(
            f"exit {code}: {number:,}" for code, number in sorted(self.codes.items())
        ) + ")"  # fmt: skip
        failure = AirlockError(
            f"{first.target}{others} failed{why.rstrip('.')}.",
            standing=self.standing(),
            then="the same again, when the cause is removed; what is done is not done twice",
        )
        if len(self.codes) == 1:
            failure.exit_code = first.exit_code
        return failure

    def verdict(self, direction: str, to: tuple[str, ...], error: AirlockError | None) -> FleetVerdict:
        """Make the last record of the run."""
        return FleetVerdict(
            direction=direction,
            to=to,
            targets=self.targets,
            changed=self.changed,
            unchanged=self.unchanged,
            done_before=self.done_before,
            failed=self.failed,
            not_begun=self.not_begun,
            revisions=self.revisions,
            exit_code=error.exit_code if error is not None else 0,
            longest_block_ms=self.longest_block_ms,
            ms=(time.monotonic() - self.since) * 1000,
            failures=tuple(self.failures),
            message=str(error) if error is not None else "",
        )
