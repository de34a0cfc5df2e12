"""Whether the memory of trace, drill and review grows with the number of revisions: the largest process of each.

python -m bench.memory 1000      # at so many revisions, beside a tenth of them
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.drill import history
from bench.processes import PYTHON, spent
from tests.airlock.histories import write_project

COMMANDS = {"trace": [], "drill": [], "review": ["base:head", "--out", "bundle"]}


def largest(command: str, revisions: int) -> float:
    """Run a command on a history of so many revisions; return the megabytes of its largest process."""
    with tempfile.TemporaryDirectory() as directory:
        ini = write_project(Path(directory), history(revisions))
        return spent(
            [*PYTHON, "airlock", command, *COMMANDS[command], "-c", str(ini)],
            Path(directory),
            codes=("0", "1"),
        ).largest_mb


def main(revisions: int) -> None:
    """Measure and print."""
    for command in COMMANDS:
        few, many = largest(command, revisions // 10), largest(command, revisions)
        print(
            f"{command}: {many:.0f} MB at {revisions:,} revisions, {few:.0f} MB at {revisions // 10:,}: "
            f"{many / few:.2f} x (at most 1.2)",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1_000)
