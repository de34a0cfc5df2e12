"""Models as their own modules declare them: what revisions hang on them while they are loaded is not theirs.

`CheckConstraint(Task.kind.in_(KINDS), name="kind")` at the top of a revision is a rule of its own for a batch of Alembic's, and
SQLAlchemy adds it to the model's table, because its column stands there.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, Index, Table, UniqueConstraint, event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_HANGING = (CheckConstraint, UniqueConstraint, Index)
_ATTACHED = "after_parent_attach"


@contextlib.contextmanager
def models_apart() -> Iterator[None]:
    """Take off a model's table at once what a revision's module puts on it until the block ends; its own tables keep theirs."""
    loading = True
    own: set[int] = set()
    kept: list[Table] = []

    def made(table: Table, _metadata: Any) -> None:
        if loading and _by_revision():
            # Held, so that no other table gets its number.
            kept.append(table)
            own.add(id(table))

    def hung(item: Any, table: Any) -> None:
        if loading and isinstance(table, Table) and id(table) not in own and _by_revision():
            table.constraints.discard(item)
            table.indexes.discard(item)

    event.listen(Table, "before_parent_attach", made)
    for kind in _HANGING:
        event.listen(kind, _ATTACHED, hung)
    try:
        yield
    finally:
        loading = False
        for target, name, listener in (
            (Table, "before_parent_attach", made),
            *((it, _ATTACHED, hung) for it in _HANGING),
        ):
            # SQLAlchemy 2.0 does not find again what listens to a class whose subclasses listen with it.
            with contextlib.suppress(KeyError):
                event.remove(target, name, listener)


def _by_revision() -> bool:
    """Tell whether the innermost code outside SQLAlchemy is a revision's module."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith("sqlalchemy.") and module != "sqlalchemy":
            return "down_revision" in frame.f_globals
        frame = frame.f_back
    return False
