"""What is known of a run so far; shared by its attempts."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.operations.upgrade.marks import VersionTable


@dataclasses.dataclass
class Progress:
    """Where the run began and stands, the step it is in, and what it has left in the database.

    `pending` is what is left of the plan that was announced, once there is one (`planned`).
    """

    table: VersionTable | None = None
    # The version tables of what env.py ran before, where it runs the migrations several times.
    tables_before: tuple[VersionTable | None, ...] = ()
    before: tuple[str, ...] | None = None
    heads: tuple[str, ...] = ()
    done: int = 0
    pending: deque[str] = dataclasses.field(default_factory=deque)
    planned: bool = False
    pooled: bool = False
    step: str | None = None
    lifted: tuple[str, ...] = ()
    left_transaction: bool = False
    comment: str | None = None
    single: bool = False
    publishes: bool = False
    # Where env.py holds the transaction: whether revisions may be committed below it; None until that is known.
    commits_below: bool | None = None
