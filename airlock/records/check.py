"""What `airlock check` holds against a history."""

from __future__ import annotations

from dataclasses import field

from airlock.records import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Fault:
    """One thing that is not as it has to be: where, which of the gate's questions it fails, and how."""

    path: str
    line: int
    question: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything one gate asked of a history. `unseen` says what could not be asked, and why; `rules` what was asked."""

    server_version: str
    revisions: int
    faults: tuple[Fault, ...]
    unseen: tuple[str, ...] = ()
    excused: tuple[str, ...] = ()
    elapsed_ms: float = 0.0
    parts_ms: dict[str, float] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    # Revisions that were not judged: those of the baseline, and those up to `since`.
    left_out: int = 0
