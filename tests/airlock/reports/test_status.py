"""What `airlock status` says on a terminal."""

from __future__ import annotations

from dataclasses import replace

from airlock.records.status import Status, WayBack
from airlock.reports.status import text

FAULT = "The database is at revision 'ffff', which this code does not know."
FOUND = Status(
    database="shop on db", server_version="18.4", user="app", pooled=False, read_only=False, standby=False, lease=None,
    half_applied=None, current=("ffff",), heads=("c3",), pending=(), invalid_indexes=(), not_validated=(), drift=None,
    drift_reason=FAULT, fault=FAULT, way_back=WayBack("base", refused="b2 cannot be undone: forward only"),
)  # fmt: skip


def test_a_fault_is_said_once_and_no_way_back_is_called_none() -> None:
    """Nothing is "in the way" of a downgrade that there is not."""
    said = text(FOUND).splitlines()
    assert [line for line in said if FAULT in line] == [f"fault      {FAULT}"]
    assert "drift      not examined: the fault above" in said
    assert said[-1] == "way back   to base: none: b2 cannot be undone: forward only"


def test_a_way_back_that_did_not_run_is_not_examined() -> None:
    """Nothing was asked of the target: whether anything is in the way is not known."""
    way = WayBack("base", unknown=("the downgrade did not run in scratch: b2: cannot drop table a",))
    assert text(replace(FOUND, way_back=way)).splitlines()[-2:] == [
        "way back   to base: not examined",
        "  unknown  the downgrade did not run in scratch: b2: cannot drop table a",
    ]
