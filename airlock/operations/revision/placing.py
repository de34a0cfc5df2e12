"""Where in the history new revisions go: which head they revise, and what there may not be twice."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from alembic.script.revision import RevisionError
from alembic.util.exc import CommandError

from airlock.records.errors import HistoryFault, Usage

if TYPE_CHECKING:
    from airlock.project.project import Project
    from airlock.records.revision import Placement

_NOTHING = "Nothing was written."


def placed(project: Project, asked: Placement) -> tuple[Placement, str]:
    """Resolve the head that the first revision revises; with it goes the lower end of the range that it begins.

    Reads the history only. Raises HistoryFault where that is no head, or no word says which of several; Usage where a
    revision is called so already.
    """
    heads = project.heads
    if asked.rev_id is not None and asked.rev_id in {one.revision for one in project.revisions()}:
        raise Usage(
            f"A revision is called {asked.rev_id} already.", standing=_NOTHING, then="another --rev-id"
        )
    if asked.head is None and len(heads) > 1:
        raise HistoryFault(
            f"The history has {len(heads)} heads: {', '.join(heads)}.", standing=_NOTHING,
            then=f'--head {heads[-1]} to go on from one of them, or alembic merge -m "Merge" {" ".join(heads)}',
        )  # fmt: skip
    try:
        found = project.script.get_revisions(asked.head or "head")
    except (CommandError, RevisionError) as error:
        raise HistoryFault(f"{str(error).rstrip('.')}.", standing=_NOTHING, then=_heads(heads)) from error
    revised = [one.revision for one in found if one is not None]
    if not revised:
        return dataclasses.replace(asked, head="base"), "base"
    if len(revised) > 1 or revised[0] not in heads:
        raise HistoryFault(
            f"{asked.head} is {'no head' if len(revised) == 1 else 'several revisions'}: what leads to the models stands"
            " behind all that is there.",
            standing=_NOTHING,
            then=_heads(heads),
        )
    return dataclasses.replace(asked, head=revised[0]), revised[0]


def _heads(heads: tuple[str, ...]) -> str:
    return f"--head {' or '.join(heads or ('base',))}"
