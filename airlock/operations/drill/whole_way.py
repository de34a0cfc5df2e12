"""The whole way up from an empty database in one run, as users take it: a step alone may go through where a run does not.

Alembic's migration context remembers each enum type that it has created; dropped by SQL, the type is not created again by a
later create_table of the same run (measured: SQLAlchemy 2.0.36 to 2.1.9, Alembic 1.13 to 1.20). What env.py and its
revisions keep in memory lasts as long as a run, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airlock.records.drill import IRREVERSIBLE, PROVED, REFUSED, RevisionProof
from airlock.scratch.isolation import ChildFailed, isolated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from airlock.scratch.servers import ScratchServer


def stops(server: ScratchServer, arguments: dict[str, Any]) -> dict[str, str]:
    """Run from empty to the end of the range; say at which revisions that stops, and the run after it, and why.

    Makes a scratch database and drops it.
    """
    with server.database() as database:
        try:
            stopped = list(isolated("airlock.operations.drill.one_run:take", arguments, scratch=database))
        except ChildFailed:
            return {}  # the step that takes a process down has its verdict already
    return {one.revision: one.reason for one in stopped}


def judged(stopped: dict[str, str], proofs: Sequence[RevisionProof]) -> tuple[RevisionProof, ...]:
    """Refuse the proved revisions at which a run of the whole way stops.

    Says nothing new of a revision that is refused or not examined already.
    """
    return tuple(
        replace(one, verdict=REFUSED, reason=_sentence(stopped[one.revision]))
        if one.revision in stopped and one.verdict in (PROVED, IRREVERSIBLE)
        else one
        for one in proofs
    )


def _sentence(reason: str) -> str:
    return (
        f"a run from an empty database to the end fails here ({reason}), although the step alone goes through: "
        "a run remembers what it has made, enum types above all, and does not see what SQL has dropped"
    )
