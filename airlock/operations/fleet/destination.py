"""Where a fleet is to go: a place of the history that is the same for every target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.util.exc import CommandError

from airlock.operations.upgrade import plan
from airlock.records.errors import Usage

if TYPE_CHECKING:
    from airlock.project.project import Project


def destination(project: Project, target: str, direction: str) -> tuple[str, ...]:
    """Resolve a fleet's target to revisions, sorted; none for base. Reads the history only.

    Raises Usage for one that counts from where each target stands: begun again after a kill it would count twice, and
    for what is no place of this history.
    """
    plan.check_arguments(project, target, direction)
    if plan.is_relative(target):
        raise Usage(
            f"{target} counts from where each target stands; a fleet goes to a named revision.",
            then=f"airlock fleet {'upgrade' if direction == 'up' else 'downgrade'} REVISION",
        )
    if target == "base":
        return ()
    try:
        found = project.script.get_revisions(target)
    except CommandError as error:
        raise Usage(
            f"{str(error).rstrip('.')}.",
            standing="Nothing changed.",
            then="alembic history, which lists them",
        ) from error
    return tuple(sorted(one.revision for one in found if one is not None))
