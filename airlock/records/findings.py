"""Findings of a trace: an id that stays, an object, and a sentence; docs/findings.md has a section for each id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airlock.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

Id = Literal["rewrite", "scan", "breaks", "stale-plan", "holds-and-waits", "published"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What one id stands for. `refuses`: not accepted, it makes a review refuse; the others are told."""

    id: Id
    name: str
    sentence: str
    safe: str
    refuses: bool = False


KINDS: dict[str, Kind] = {
    one.id: one
    for one in (
        Kind(
            "rewrite", "RewriteUnderLock",
            "A table is rewritten while reads or writes of a table that existed before wait.",
            "The wait grows with the table. Add a new column and move the values in batches instead.",
            refuses=True,
        ),
        Kind(
            "scan", "ScanUnderLock",
            "A table is read from end to end while reads or writes of a table that existed before wait.",
            (
                "The wait grows with the table. Add the constraint NOT VALID and validate it in a revision of its own,"
                " or build the index concurrently."
            ),
            refuses=True,
        ),
        Kind(
            "breaks", "BreaksOlderRelease",
            "A statement of the release that runs below the revision fails once it is applied.",
            (
                "Expand first, so that both releases work; deploy the code that no longer needs the old form; contract in"
                " a revision that goes out after it."
            ),
        ),
        Kind(
            "stale-plan", "StalePlan",
            "A statement that a session prepared before the revision fails until the session prepares it again.",
            (
                "Drivers and poolers keep prepared statements. Add a new column beside the old one instead of changing its"
                " type, or have every session reconnect when the revision is applied."
            ),
        ),
        Kind(
            "holds-and-waits", "HoldsAndWaits",
            "A blocking lock on a second table is asked for while one on a first is held.",
            (
                "Whoever holds the second table makes the readers of the first wait as well, and readers that take the two"
                " the other way round make a deadlock. Put each table into a revision of its own, with a lock_timeout."
            ),
        ),
        Kind(
            "published", "ChangesPublishedTable",
            "A table of a publication gets, loses or changes what its subscribers are sent.",
            (
                "Give a subscriber a new column first, and take a dropped one from it last; keep a replica identity at every"
                " moment, or UPDATE and DELETE fail on the publisher itself, and swap a key on both sides."
            ),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding at one place: what it is about, in a sentence, and the statement it comes of.

    Of `breaks` and `stale-plan`, `sql` is the statement of the release below and `words` PostgreSQL's answer to it.
    """

    id: Id
    object: str
    sentence: str
    sql: str = ""
    words: str = ""
    file: str = ""
    line: int = 0

    @property
    def name(self) -> str:
        """Name it as a revision accepts it: "breaks public.task"."""
        return f"{self.id} {self.object}"

    def accepted(self, reasons: Mapping[str, str]) -> str:
        """Give the reason for which it is accepted; else nothing.

        By its whole name, by its id for all objects, or by its statement for all that this one does.
        """
        found = reasons.get(self.name) or reasons.get(self.id)
        if found or not self.sql:
            return found or ""
        statement = _on_one_line(self.sql)
        return next((why for name, why in reasons.items() if _on_one_line(name) == statement), "")


def _on_one_line(sql: str) -> str:
    return " ".join(sql.split()).rstrip("; ")


@dataclass(frozen=True, slots=True)
class Draft:
    """One revision to write instead: its title, its statements, and both functions' bodies as Python.

    A statement that must run outside a transaction says so in `outside`, by its place.
    """

    title: str
    statements: tuple[str, ...]
    upgrade: str
    downgrade: str
    outside: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Safer:
    """The revisions that lead one table to the same end without blocking, in order; and what has to be said of them."""

    table: str
    drafts: tuple[Draft, ...]
    remarks: tuple[str, ...] = ()
