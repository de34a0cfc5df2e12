"""What a phase of an examination has to say, and how the phases' words come together in one verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.operations.drill import failures
from airlock.records.drill import IRREVERSIBLE, NOT_EXAMINED, REFUSED, Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airlock.records.difference import Difference


@dataclass(frozen=True, slots=True)
class Outcome:
    """Differences, what is kept on purpose, notes, and a verdict where the phase has one; `reason` says why."""

    differences: tuple[Difference, ...] = ()
    kept: tuple[Kept, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: str | None = None
    reason: str = ""

    @property
    def refuses(self) -> bool:
        """Tell whether something was found that is a fault."""
        return self.verdict == REFUSED or bool(self.differences)

    @property
    def is_clear(self) -> bool:
        """Tell whether nothing stands in the way of "proved" yet."""
        return self.verdict is None and not self.differences

    def then(self, *later: Outcome) -> Outcome:
        """Add what later phases say: a refusal takes the place of what was said, "not examined" only of nothing."""
        whole = self
        for one in later:
            first = whole.verdict is not None and one.verdict not in {REFUSED, IRREVERSIBLE}
            ruling = whole if first else one
            whole = Outcome(
                tuple(dict.fromkeys((*whole.differences, *one.differences))),
                tuple(sorted({*whole.kept, *one.kept}, key=lambda it: it.object)),
                tuple(dict.fromkeys((*whole.notes, *one.notes))),
                ruling.verdict,
                ruling.reason,
            )
        return whole


NOTHING = Outcome()


def refused(reason: str) -> Outcome:
    """Say no, for this reason."""
    return Outcome(verdict=REFUSED, reason=reason)


def not_examined(reason: str) -> Outcome:
    """Say that nothing is proved, and why."""
    return Outcome(verdict=NOT_EXAMINED, reason=reason)


def failed(step: str, error: BaseException) -> Outcome:
    """Refuse what fails, in the error's words; leave it unexamined where the scratch server failed, not the revision."""
    server = failures.server_failed(error)
    if server is not None:
        return not_examined(f"{step}: {server}")
    return refused(f"{step}: {failures.one_line(error)}")


def irreversible(reason: str) -> Outcome:
    """Say that the revision itself knows no way back."""
    return Outcome(verdict=IRREVERSIBLE, reason=reason)


def noted(notes: Iterable[str]) -> Outcome:
    """Say something that decides nothing."""
    return Outcome(notes=tuple(notes))
