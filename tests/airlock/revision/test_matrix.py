"""Kinds of change, in every key, place and state of rows: what is written runs beside old and new code, and back."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.cells import KEYS, KINDS, PLACES, ROWS
from tests.airlock.revision.library import EDITS
from tests.airlock.revision.walk import names_for, prove, walk

# One project for the fast suite: serial keys, as most projects have them, in a schema that is to be made.
QUICK = ("add_required", "drop_required", "key_made_otherwise", "table_dropped")


def test_a_project_with_serial_keys(scratch: ScratchServer, tmp_path: Path) -> None:
    """A new schema, serial to identity, a required column, a dropped one, a dropped table: beside old and new code."""
    walked = walk(scratch, tmp_path / "project", "serial", "new", list(QUICK), ("rows",))
    assert walked.faults.found == {}


# What a drill and a trace are asked of here; `make matrix` asks of every kind, key and place.
PROVED = (
    "add_required",
    "to_numeric",
    "enum_removed",
    "key_wider",
    "table_dropped",
    "wider",
    "add_serial",
    "two_at_once",
)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("key", "place", "names"),
    [("serial", "quoted", PROVED), ("composite", "default", ("key_made_otherwise",))]
    if "AIRLOCK_MATRIX" not in os.environ
    else [(key, place, names_for(key)) for key in KEYS for place in PLACES],
)
def test_what_is_written_is_proved(
    scratch: ScratchServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, place: str, names: Sequence[str]
) -> None:  # fmt: skip
    """The drill proves every downgrade, and the trace finds nothing dangerous."""
    proved = prove(scratch, tmp_path / "project", key, place, list(names))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{key}, {place}: {len(names)} kinds, {proved.revisions} revisions drilled and traced\n"
        )
    assert proved.faults == []


# Every key in two places and every place with two keys; `make matrix` has them all. What the place decides is how names
# are spelled and cut, and that is the same for every key but where keys have sequences: these are in the longest and the quoted.
PAIRS = [
    ("serial", "quoted"), ("identity", "long"), ("uuid", "default"), ("composite", "named"), ("text", "new"),
    ("serial", "long"), ("identity", "quoted"), ("uuid", "named"), ("composite", "new"), ("text", "default"),
]  # fmt: skip


@pytest.mark.proof
def test_the_matrix_is_large_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """The sum of its cells, and the edits that are no cells: what is said of them instead."""
    cells, all_of_them = (
        sum(len(names_for(key)) * len(ROWS) for key, _ in pairs)
        for pairs in (PAIRS, itertools.product(KEYS, PLACES))
    )
    said = {name: one.said for name, one in sorted(EDITS.items()) if one.said}
    with capsys.disabled():
        sys.stdout.write(
            f"\n{cells} cells of {len(KINDS)} kinds of change, {all_of_them} in make matrix; not written, and said:\n"
        )
        sys.stdout.writelines(f"  {name}: … {one} …\n" for name, one in said.items())
    assert (cells >= 400, bool(said)) == (True, True)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("key", "place"),
    PAIRS if "AIRLOCK_MATRIX" not in os.environ else [(key, place) for key in KEYS for place in PLACES],
)
def test_every_kind_of_change(
    scratch: ScratchServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, place: str
) -> None:
    """One project holds every kind of change; it is walked without rows, on rows, and on rows of extreme values."""
    names = names_for(key)
    walked = walk(scratch, tmp_path / "project", key, place, names, ROWS)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{key}, {place}: {len(names) * len(ROWS)} cells, {len(walked.written)} revisions\n"
        )
    assert walked.faults.found == {}
