"""Revise: write what leads the history to the models, in the form that blocks nobody.

`process_revision_directives` is loaded when it is asked for: a check needs two small modules of this package, not the sixty
that write revisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airlock.operations.revision.directives import compare, process_revision_directives

__all__ = ["compare", "process_revision_directives"]


def __getattr__(name: str) -> Any:
    """Load what `__all__` names. Raises AttributeError as a module does."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airlock.operations.revision import directives

    return getattr(directives, name)
