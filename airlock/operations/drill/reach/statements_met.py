"""Tell of each data statement what it met: of one, of a branch or of an arm that met no row, nothing is proved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.operations.drill.reach import raising_guards, rows_not_taken, unreached_writes
from airlock.recorder import row_changes as reading
from airlock.recorder.branches import ANOTHER_VALUE, BEYOND
from airlock.recorder.tokens import masked
from airlock.records.drill import Met, Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airlock.operations.drill.reach.asking import Counted
    from airlock.recorder.row_changes import DataStatement

    # File, line, text, what called it, and its number among those of that line.
    Sent = tuple[str, int, str, str, int]

_MOST = 100
NO_OTHER_VALUE = "gave no row another value than it had"


@dataclass(slots=True)
class Seen:
    """One statement of one line, however often it was sent."""

    data: DataStatement
    changed: int | None = 0
    left: int | None = None
    ways: list[int | None] = field(default_factory=list)
    # Sent in a loop that comes back until nothing is left, in the revision or in a module that it calls.
    in_rounds: bool = False

    def add(self, one: Counted) -> None:
        """Count what was sent once more."""
        self.changed = None if one.changed is None or self.changed is None else self.changed + one.changed
        self.left = (
            one.left if self.left is None else self.left if one.left is None else max(self.left, one.left)
        )
        if not self.ways:
            self.data, self.ways = one.data, list(one.branches)
            return
        # A body's branches are told where rows must take them, or have: not of each call the same.
        ways = dict(zip((it.label for it in self.data.branches), self.ways, strict=False))
        known = dict(zip((it.label for it in one.data.branches), one.branches, strict=False))
        if ways.keys() != known.keys():
            more = tuple(it for it in one.data.branches if it.label not in ways)
            self.data = replace(self.data, branches=(*self.data.branches, *more))
            self.ways = [_sum(ways.get(it.label, 0), known.get(it.label, 0)) for it in self.data.branches]
            return
        self.ways = [_sum(old, new) for old, new in zip(self.ways, one.branches, strict=False)]


def met(
    sent: Mapping[Sent, Seen], path: Path, lines: Mapping[str, set[int]], direction: str
) -> tuple[Met, ...]:
    """Tell of each statement what it met, in the order of lines, and why nothing is proved where that is so.

    `path` is the revision's file, `lines` are those that its Python came to, by file.
    """
    found: dict[tuple[str, str], Met] = {}
    renewed: dict[tuple[str, str], int | None] = {}
    calls: dict[tuple[str, str], dict[str, int]] = {}
    for (file, line, _, call, _), seen in sorted(sent.items(), key=lambda it: it[0][:2]):
        ways = tuple(
            Way(_short(branch.label), rows)
            for branch, rows in zip(seen.data.branches, seen.ways, strict=False)
            if branch.label != ANOTHER_VALUE
            # A loop comes back for what a LIMIT left out.
            and not (branch.label.startswith(BEYOND) and _in_batches(path, line))
        )
        place = f"{file}:{line}" if line else file
        shown = _short(seen.data.shown)
        if call:
            # Each call with other values is told, not which values those are.
            same = calls.setdefault((place, shown), {})
            number = same.setdefault(call, len(same) + 1)
            shown = f"{shown} (call {number})" if number > 1 else shown
        problem = "" if _is_last_round(sent, file, line, seen) else _problem(place, shown, seen, ways)
        if seen.data.kind == reading.READ and file == path.name and line in raising_guards.lines(str(path)):
            problem = ""
        one = Met(
            direction, place, shown, seen.changed, seen.left, ways, problem, seen.data.kind == reading.READ,
            entered=seen.data.kind == reading.CALL,
        )  # fmt: skip
        earlier = found.get((place, shown))
        found[place, shown] = one if earlier is None else _together(earlier, one)
        renewed[place, shown] = _sum(renewed.get((place, shown), 0), _renewed(seen))
    for (place, shown), rows in renewed.items():
        one = found[place, shown]
        if rows == 0 and one.changed and not one.problem:
            found[place, shown] = replace(one, problem=f"{place}: {shown} {NO_OTHER_VALUE}")
    wrote = {key[:2] for key, seen in sent.items() if seen.data.kind != reading.READ}
    passed_by = [
        (Path(name).name, one)
        for name in lines
        for one in unreached_writes.passed_by(name, str(path), lines, wrote)
    ]
    for called, write in passed_by:
        place, shown = f"{called}:{write.start}", _short(write.text)
        found[place, shown] = Met(
            direction,
            place,
            shown,
            0,
            passed_by=True,
            problem=f"{place}: {shown} was not come to: {write.why}",
        )
    for cut in rows_not_taken.cuts(str(path)):
        if cut.function != {"up": "downgrade", "down": "upgrade"}[direction]:
            place, shown = f"{path.name}:{cut.line}", _short(cut.text)
            problem = f"{place}: {shown} takes {cut.rows} rows: what becomes of those beyond was not seen"
            found[place, shown] = Met(direction, place, shown, None, problem=problem, reads=True)
    return tuple(found.values())


def warned_of(warned: Mapping[tuple[str, int, str], str], direction: str) -> tuple[Met, ...]:
    """Tell of statements that did nothing, or not all that they say, by file, line and what the server warned of."""
    found = []
    for (file, line, said), text in warned.items():
        place, shown = f"{file}:{line}" if line else file, _short(text)
        problem = f"{place}: {shown}: the server only warned: {said}"
        found.append(Met(direction, place, shown, 0, problem=problem))
    return tuple(found)


def _is_last_round(sent: Mapping[Sent, Seen], file: str, line: int, seen: Seen) -> bool:
    """Tell whether a query found nothing any more, where another one of the same line and loop has found rows."""
    return bool(seen.in_rounds and seen.data.kind == reading.READ and seen.changed == 0) and any(
        key[:2] == (file, line) and one.data.kind == reading.READ and one.changed for key, one in sent.items()
    )


def _in_batches(path: Path, line: int) -> bool:
    return any(start <= line <= end for start, end in rows_not_taken.batches(str(path)))


def _sum(old: int | None, new: int | None) -> int | None:
    return None if old is None or new is None else old + new


def _together(first: Met, second: Met) -> Met:
    """Make one of two that a loop has sent with different values; what met none of them stays the problem."""
    ways = first.ways
    if len(ways) == len(second.ways):
        ways = tuple(
            Way(old.text, _sum(old.rows, new.rows)) for old, new in zip(ways, second.ways, strict=True)
        )
    return replace(
        first,
        changed=_sum(first.changed, second.changed),
        left=max((one for one in (first.left, second.left) if one is not None), default=None),
        ways=ways,
        problem=first.problem or second.problem,
    )


def _renewed(seen: Seen) -> int | None:
    """Tell how many rows got another value; None where that was not asked, or has no answer."""
    ways = zip(seen.data.branches, seen.ways, strict=False)
    return next((rows for branch, rows in ways if branch.label == ANOTHER_VALUE), None)


def _problem(place: str, shown: str, seen: Seen, ways: tuple[Way, ...]) -> str:
    if seen.changed is None:
        return f"{place}: {shown}: what it met cannot be told"
    if seen.changed == 0:
        return f"{place}: {shown} met no row"
    unmet = [way.text for way in ways if way.rows == 0]
    if unmet:
        return f"{place}: {shown}: {', '.join(unmet)} met no row"
    return ""


def _short(text: str) -> str:
    text = masked(text)
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"


def met_meanwhile(path: Path, counted: Iterable[Counted]) -> tuple[Met, ...]:
    """Tell what rows written between upgrade and downgrade did in bodies, as of a statement of the upgrade."""
    found = []
    place = f"{path.name}, rows written meanwhile"
    for one in counted:
        seen = Seen(one.data, changed=one.changed, ways=list(one.branches))
        ways = tuple(
            Way(_short(it.label), rows) for it, rows in zip(one.data.branches, one.branches, strict=False)
        )
        shown = _short(one.data.shown)
        problem = _problem(place, shown, seen, ways)
        entered = one.data.kind == reading.CALL
        found.append(Met("up", place, shown, one.changed, None, ways, problem, entered=entered))
    return tuple(found)
