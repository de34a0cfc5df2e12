"""Findings of a trace: an id that stays, an object, and a sentence; what they mean stands in docs/findings.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Broken:
    """A statement of the release below that the step breaks: the statement, and PostgreSQL's words.

    `stale` where it fails only for sessions that prepared it before the step, until they prepare it again.
    """

    object: str
    statement: str
    words: str
    stale: bool = False

    @property
    def id(self) -> str:
        """Name the kind of finding."""
        return "stale-plan" if self.stale else "breaks"

    @property
    def finding(self) -> str:
        """Name the finding as a revision accepts it: "breaks public.task"."""
        return f"{self.id} {self.object}"

    @property
    def sentence(self) -> str:
        """Say it."""
        if self.stale:
            return f"a session that prepared it before the step fails: {self.statement}: {self.words}"
        return f"the release below fails: {self.statement}: {self.words}"
