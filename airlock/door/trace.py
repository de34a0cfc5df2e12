"""`airlock trace`: see what each statement of a revision locks, rewrites and scans. Always exits 0."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

DEFAULT_ROWS = 2_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "range",
        nargs="?",
        metavar="FROM:TO",
        help="revisions after FROM up to and with TO (default: base:head)",
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=DEFAULT_ROWS,
        metavar="N",
        help="sample rows in every table (default: %(default)s; scans show from 1,000 on)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Trace in scratch, contacting no target, and print what was seen."""
    from airlock.acts.trace import trace
    from airlock.door.logged import append
    from airlock.faces import trace as face
    from airlock.words.secrets import scrub

    report = trace(
        arguments.config,
        from_to=arguments.range,
        scratch=arguments.scratch,
        rows=arguments.rows,
        x_arguments=arguments.x,
    )
    append(arguments.log, "trace", face.document(report))
    if arguments.json:
        sys.stdout.write(scrub(json.dumps(face.document(report), indent=2, ensure_ascii=False)) + "\n")
    else:
        sys.stdout.writelines(f"{scrub(line)}\n" for line in face.lines(report))
    return 0
