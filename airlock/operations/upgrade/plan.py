"""Whether version rows, history and target fit together, before anything runs.

Bare Alembic does nothing, silently and with exit code 0, when asked to upgrade to an older revision, when a
version row is NULL, or picks a branch by itself for `downgrade -1` from two heads: errors here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from alembic.util.exc import CommandError

from airlock.records.errors import HistoryFault, Refused, Usage
from airlock.records.upgrade import DOWN, UP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.project.project import Project


def is_relative(target: str) -> bool:
    """Say whether the target counts from where the database stands (`+1`, `-2`, `branch@-1`)."""
    return re.fullmatch(r"(?:[^@]*@)?[+-]\d+", target) is not None


def check_arguments(project: Project, target: str, direction: str) -> None:
    """Refuse what cannot be right whatever the database says: an unknown target, `head` where there are several."""
    if direction == UP and target == "head" and len(project.heads) > 1:
        raise HistoryFault(
            f"The history has {len(project.heads)} heads: {', '.join(project.heads)}.",
            standing="Nothing changed.",
            then="alembic merge heads, or airlock upgrade heads",
        )
    if not target.strip():
        raise Usage("The target revision is empty.")
    if target.endswith("@"):
        raise Usage(
            f"{target} names no revision behind its '@'.", then=f"{target}head, {target}base or {target}-1"
        )
    if direction == UP and target == "base":
        raise Usage("base is where a downgrade ends, not an upgrade.", then="airlock downgrade base")
    if is_relative(target):
        if (target.partition("@")[2] or target).startswith("+") != (direction == UP):
            raise Usage(
                f"{target} runs the other way.",
                then=f"airlock {'downgrade' if direction == UP else 'upgrade'} {target}",
            )
        return
    if target in {"head", "heads", "base"} or re.search(r"[@+-]", target):
        return
    try:
        found = project.script.get_revision(target)
    except CommandError as error:
        raise Usage(
            f"{str(error).rstrip('.')}.",
            standing="Nothing changed.",
            then="alembic history, which lists them",
        ) from error
    if found is None:
        raise Usage(f"No revision is called {target!r}.", standing="Nothing changed.")


def check_rows(project: Project, heads: Sequence[str | None]) -> None:
    """Refuse version rows that are NULL, unknown to this code, doubled, or one the ancestor of another."""
    if any(head is None for head in heads):
        raise HistoryFault(
            "The version table holds a row that is NULL.",
            standing="Nothing changed.",
            then="DELETE FROM the version table WHERE version_num IS NULL, after a look at how it got there",
        )
    known = [str(head) for head in heads]
    for head in known:
        try:
            found: Any = project.script.get_revision(head)
        except CommandError:
            found = None
        if found is None or found.revision != head:
            raise HistoryFault(
                f"The database is at revision {head!r}, which this code does not know: it is newer, or another project's.",
                standing="Nothing changed.",
                then="deploy the code that holds it, or downgrade with that code first",
            )
    for head in known:
        below = {
            script.revision for script in project.script.iterate_revisions(head, "base", implicit_base=False)
        }
        overlap = sorted((below - {head}) & set(known))
        if overlap or known.count(head) > 1:
            raise HistoryFault(
                f"The version table's rows overlap: {head} already contains {', '.join(overlap) or head}.",
                standing="Nothing changed.",
                then=f"delete the row {overlap[0] if overlap else head} from the version table",
            )


def check_target(
    project: Project, heads: Sequence[str], target: str, direction: str, steps: Sequence[str]
) -> None:
    """Refuse a target the plan cannot mean, and a step back that its revision says cannot be taken."""
    if direction == DOWN and len(heads) > 1 and is_relative(target) and "@" not in target:
        raise Usage(
            f"The database stands at {len(heads)} heads ({', '.join(sorted(heads))}); {target} does not say which to leave.",
            standing="Nothing changed.",
            then=f"airlock downgrade BRANCH@{target}, or a full revision",
        )
    if direction == DOWN:
        for name in steps:
            facts = project.revision(name)
            if facts.irreversible:
                raise Refused(
                    f"{name} ({facts.title}) cannot be undone: {facts.irreversible}",
                    standing="Nothing changed.",
                )
    if steps or target in {"head", "heads", "base"} or is_relative(target):
        return
    try:
        wanted = {script.revision for script in project.script.get_revisions(target) if script is not None}
    except CommandError:
        return
    if wanted <= set(heads):
        return
    applied = _applied(project, heads)
    names = ", ".join(sorted(wanted))
    if direction == UP and wanted <= applied:
        raise Usage(
            f"The database, at {_names(heads)}, is already past {names}.",
            standing="Nothing changed.",
            then=f"airlock downgrade {names}",
        )
    if direction == DOWN:
        raise Usage(
            f"The database, at {_names(heads)}, has not reached {names}.",
            standing="Nothing changed.",
            then=f"airlock upgrade {names}",
        )


def _applied(project: Project, heads: Sequence[str]) -> set[str]:
    if not heads:
        return set()
    return {
        script.revision
        for script in project.script.iterate_revisions(tuple(heads), "base", implicit_base=True)
    }


def _names(heads: Sequence[str]) -> str:
    return ", ".join(sorted(heads)) or "base"
