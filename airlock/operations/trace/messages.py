"""What a trace's parent and its children tell each other: records alone, so that the parent loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.operations.drill.missing_objects import Gap
    from airlock.operations.trace.look import Look
    from airlock.records.diagram import Diagram
    from airlock.records.difference import Difference
    from airlock.records.shared import Shared
    from airlock.samples import Table


@dataclass(frozen=True)
class Catalogue:
    """What the traced revisions made of the catalogue: every difference, and both ends as a diagram."""

    differences: tuple[Difference, ...]
    before: Diagram
    after: Diagram


@dataclass(frozen=True)
class Ordered:
    """The revisions of the range, in Alembic's order."""

    revisions: tuple[str, ...]


@dataclass(frozen=True)
class Begin:
    """Where a child goes on, in a database that stands before `position` of `order`; empty, it asks Alembic.

    `fault` says how the revision below failed, `extension` what it lacked, `lacks` what the server needs first;
    `gaps` what lies below and could not be applied, `beyond_help` those that cannot be made.
    """

    position: int = 0
    order: tuple[str, ...] = ()
    required: dict[str, Table] | None = None
    empty: str = ""
    before: Look | None = None
    downs: tuple[str, ...] = ()
    fault: str = ""
    extension: str = ""
    lacks: Shared | None = None
    gaps: tuple[Gap, ...] = ()
    beyond_help: frozenset[Shared] = frozenset()
