"""Which revisions a drill examines, and in which order it meets them: always the whole history's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.project.project import Project, RevisionFacts


def chosen(project: Project, from_to: str | None, last: int | None, start: tuple[str, ...] | None) -> tuple[
    tuple[RevisionFacts, ...], tuple[RevisionFacts, ...]
]:  # fmt: skip
    """Split the history into what is built without a look and what is examined, both in upgrade order."""
    order, names = laid_out(project, from_to, last, start)
    return (
        tuple(one for one in order if one.revision not in names),
        tuple(one for one in order if one.revision in names),
    )


def laid_out(
    project: Project, from_to: str | None, last: int | None, start: tuple[str, ...] | None
) -> tuple[tuple[RevisionFacts, ...], frozenset[str]]:
    """List the history in upgrade order up to the last revision that is examined, and name those that are.

    A revision stands above the same others whatever the range: what lies between two that are examined is applied too.
    """
    everything = project.revisions()
    examined = project.revisions(from_to)
    if start is not None:
        held = set(start)
        for one in reversed(everything):
            if one.revision in held:
                held |= {*one.down_revisions, *one.depends_on}
        known = {one.revision for one in everything if one.revision in held}
        examined = tuple(one for one in examined if one.revision not in known)
    if last is not None:
        examined = examined[-last:] if last > 0 else ()
    names = frozenset(one.revision for one in examined)
    final = max((place for place, one in enumerate(everything) if one.revision in names), default=-1)
    return everything[: final + 1], names
