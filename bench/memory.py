"""Whether the memory of trace, drill and review grows with the number of revisions: the largest process of each.

python -m bench.memory 1000          # at so many revisions of the same ten tables, beside a tenth of them
python -m bench.memory 1000 tables   # of a history that makes a table with every third: then the schema grows as well
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.drill import history
from bench.processes import PYTHON, spent
from tests.airlock.histories import Revision, write_project

TABLES = 10
COMMANDS = {"trace": [], "drill": [], "review": ["base:head", "--out", "bundle"]}


def steady(length: int) -> list[Revision]:
    """Make a history that has its tables from the start, then makes and drops indexes and CHECKs of theirs."""
    tables = history(3 * TABLES)[::3]
    steps = []
    for number in range(length - TABLES):
        table, name = f"t{number // 4 % TABLES}", f"of_{number // 4}"
        index = (f'op.create_index("ix_{name}", "{table}", ["name"])', f'op.drop_index("ix_{name}")')
        check = (
            f'op.create_check_constraint("ck_{name}", "{table}", "n <> -125")',
            f'op.drop_constraint("ck_{name}", "{table}")',
        )
        up, down = (index, index[::-1], check, check[::-1])[number % 4]
        steps.append(Revision(f"s{number:05d}", up, down, title=f"Step {number}"))
    return [*tables, *steps]


def largest(command: str, revisions: list[Revision]) -> float:
    """Run a command on a history; return the megabytes of its largest process."""
    with tempfile.TemporaryDirectory() as directory:
        ini = write_project(Path(directory), revisions)
        return spent(
            [*PYTHON, "airlock", command, *COMMANDS[command], "-c", str(ini)],
            Path(directory),
            codes=("0", "1"),
        ).largest_mb


def main(revisions: int, *, growing: bool) -> None:
    """Measure and print."""
    made = history if growing else steady
    for command in COMMANDS:
        few, many = (largest(command, made(length)) for length in (revisions // 10, revisions))
        print(
            f"{command}: {many:.0f} MB at {revisions:,} revisions, {few:.0f} MB at {revisions // 10:,}: "
            f"{many / few:.2f} x (at most 1.2)",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1_000, growing=sys.argv[2:] == ["tables"])
