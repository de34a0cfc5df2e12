"""Run, trace, review, drill and write Alembic revisions on PostgreSQL, by observing the server.

What stands in `__all__` is for env.py files, test suites and scripts, and keeps its names and signatures within a
major version; everything below is airlock's own. Importing the package costs nothing: each name is loaded when used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airlock.api import (
        downgrade,
        drill,
        fleet_downgrade,
        fleet_status,
        fleet_upgrade,
        review,
        status,
        trace,
        upgrade,
    )
    from airlock.operations.revision import process_revision_directives
    from airlock.project.autogenerate import options as autogenerate_options
    from airlock.records.drill import DrillProgress, DrillReport, RevisionProof
    from airlock.records.errors import (
        AirlockError,
        ConnectionLost,
        Denied,
        HalfApplied,
        HistoryFault,
        Interrupted,
        LeaseHeld,
        LockBudgetSpent,
        NotExamined,
        Refused,
        RevisionFailed,
        StatementBudgetSpent,
        Unreachable,
        Usage,
        WrongTarget,
    )
    from airlock.records.fleet import FleetEvent, FleetRequest, FleetStatus, FleetVerdict
    from airlock.records.review import Review
    from airlock.records.status import Status
    from airlock.records.trace import TracedRevision, TraceReport
    from airlock.records.upgrade import Event, Verdict

__all__ = [
    "AirlockError",
    "ConnectionLost",
    "Denied",
    "DrillProgress",
    "DrillReport",
    "Event",
    "FleetEvent",
    "FleetRequest",
    "FleetStatus",
    "FleetVerdict",
    "HalfApplied",
    "HistoryFault",
    "Interrupted",
    "LeaseHeld",
    "LockBudgetSpent",
    "NotExamined",
    "Refused",
    "Review",
    "RevisionFailed",
    "RevisionProof",
    "StatementBudgetSpent",
    "Status",
    "TraceReport",
    "TracedRevision",
    "Unreachable",
    "Usage",
    "Verdict",
    "WrongTarget",
    "autogenerate_options",
    "downgrade",
    "drill",
    "fleet_downgrade",
    "fleet_status",
    "fleet_upgrade",
    "process_revision_directives",
    "review",
    "status",
    "trace",
    "upgrade",
]

_OPERATIONS = frozenset(
    {
        "downgrade", "drill", "fleet_downgrade", "fleet_status", "fleet_upgrade", "review", "status", "trace", "upgrade",
    }
)  # fmt: skip
_ELSEWHERE = {
    "autogenerate_options": ("airlock.project.autogenerate", "options"),
    "process_revision_directives": ("airlock.operations.revision", "process_revision_directives"),
    "DrillProgress": ("airlock.records.drill", "DrillProgress"),
    "DrillReport": ("airlock.records.drill", "DrillReport"),
    "RevisionProof": ("airlock.records.drill", "RevisionProof"),
    **{
        name: ("airlock.records.fleet", name)
        for name in ("FleetEvent", "FleetRequest", "FleetStatus", "FleetVerdict")
    },
    "Review": ("airlock.records.review", "Review"),
    "Status": ("airlock.records.status", "Status"),
    "TraceReport": ("airlock.records.trace", "TraceReport"),
    "TracedRevision": ("airlock.records.trace", "TracedRevision"),
    "Event": ("airlock.records.upgrade", "Event"),
    "Verdict": ("airlock.records.upgrade", "Verdict"),
}


def __getattr__(name: str) -> Any:
    """Load what `__all__` names, and nothing else. Raises AttributeError as a module does."""
    if name not in __all__:
        raise AttributeError(f"module 'airlock' has no attribute {name!r}")
    home = "airlock.api" if name in _OPERATIONS else "airlock.records.errors"
    module, attribute = _ELSEWHERE.get(name, (home, name))
    found = getattr(importlib.import_module(module), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
