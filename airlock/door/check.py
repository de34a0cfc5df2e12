"""`airlock check`: hold the whole history against the house's rules, without a target and without Docker."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

DEFAULT_ROWS = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "--rows",
        type=int,
        default=DEFAULT_ROWS,
        metavar="N",
        help="sample rows in every table while tracing (default: %(default)s; scans show from 1,000 on)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check in scratch; 0 proved, 1 refused, 3 where a question has no answer."""
    from airlock.acts.check import check
    from airlock.faces import check as face

    report = check(
        arguments.config,
        scratch=arguments.scratch,
        rows=arguments.rows,
        x_arguments=arguments.x,
        progress=_tell,
    )
    if arguments.json:
        json.dump(face.document(report), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in face.lines(report))
    return 1 if report.faults else 3 if report.unseen else 0


def _tell(what: str) -> None:
    sys.stderr.write(f"asking: {what} ...\n")
