"""`airlock revision`: write new revisions from the models, or in place of one, in the form that blocks nobody."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airlock.commands.arguments import add_rows
from airlock.records.trace import JUDGED_FROM_ROWS

if TYPE_CHECKING:
    import argparse

    from airlock.records.revision import Likely, Revised

DEFAULT_ROWS = 2_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("-m", "--message", help="what the change is for; it titles the revisions")
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="OLD:NEW",
        help="a table or column that was renamed: phase2.task.title:heading (none: nothing was)",
    )
    for option, example in (
        ("--split", "phase2.account.name=first,last"),
        ("--merge", "phase2.account.first,last=name"),
    ):
        parser.add_argument(
            option, action="append", default=[], dest="reshaped", metavar="OLD=NEW",
            help=f"columns that take others' place: {example}; what becomes what is left to FILL IN",
        )  # fmt: skip
    parser.add_argument(
        "--keep", action="store_true", help="leave the files there that failed their own trace or drill"
    )
    parser.add_argument(
        "--sql-form", action="store_true", help="say everything as SQL, not in Alembic's operations"
    )
    parser.add_argument(
        "--safer",
        metavar="REVISION",
        help="write what reaches the end of this one without blocking, in its place (--url: unless applied there)",
    )
    place = parser.add_argument_group(
        "where they go", "as alembic revision takes it; the first of several carries it"
    )
    place.add_argument(
        "--head", metavar="REVISION", help="which of several heads they revise: shop@head; base: none"
    )
    place.add_argument("--branch-label", metavar="LABEL", help="a label for the branch that they begin")
    place.add_argument(
        "--version-path", metavar="DIR", help="which of the version_locations they are written to"
    )
    place.add_argument(
        "--depends-on", action="append", default=[], metavar="REVISION", help="what has to be applied before"
    )
    place.add_argument("--rev-id", metavar="ID", help="the id of the first one")
    add_rows(parser, DEFAULT_ROWS, least=JUDGED_FROM_ROWS, more=" for the trace")


def run(arguments: argparse.Namespace) -> int:
    """Write, trace and drill in scratch, contacting no target; 1 where something dangerous or unproved is left.

    3 where all of that is well, and the trace has not seen everything.
    """
    from airlock.commands.answer import answer
    from airlock.records.errors import DONE, NOT_EXAMINED, REFUSED
    from airlock.reports import revision as text
    from airlock.scratch.isolation import watched

    telling = _Telling()
    try:
        with watched(telling.begun):
            revised = _safer(arguments, telling) if arguments.safer else _revised(arguments, telling)
    finally:
        telling.begun.end()
    answer(arguments, text.document(revised), text.lines(revised))
    if not revised.sound:
        return REFUSED
    return NOT_EXAMINED if revised.unexamined else DONE


def _revised(arguments: argparse.Namespace, telling: _Telling) -> Revised:
    from airlock.operations.revision.parent import revise
    from airlock.records.revision import Placement

    return revise(
        arguments.config,
        arguments.message,
        renames=arguments.rename,
        scratch=arguments.scratch,
        rows=arguments.rows,
        x_arguments=arguments.x,
        ask=telling.ask if sys.stdin.isatty() and sys.stderr.isatty() else None,
        keep=arguments.keep,
        sql_form=arguments.sql_form,
        reshaped=arguments.reshaped,
        placement=Placement(
            arguments.head,
            arguments.branch_label,
            arguments.version_path,
            tuple(arguments.depends_on),
            arguments.rev_id,
        ),
        progress=telling.part,
    )


def _safer(arguments: argparse.Namespace, telling: _Telling) -> Revised:
    from airlock.operations.revision.safer import write_safer
    from airlock.records.errors import Usage

    if arguments.message or arguments.rename or arguments.reshaped:
        raise Usage(
            "--safer takes its title and its names from the revision: neither -m, --rename, --split nor --merge goes with it."
        )
    if any(
        (
            arguments.head,
            arguments.branch_label,
            arguments.version_path,
            arguments.depends_on,
            arguments.rev_id,
        )
    ):
        raise Usage("--safer writes where the revision stands: no word on the place goes with it.")
    return write_safer(
        arguments.config,
        arguments.safer,
        url=arguments.url,
        scratch=arguments.scratch,
        rows=arguments.rows,
        x_arguments=arguments.x,
        keep=arguments.keep,
        sql_form=arguments.sql_form,
        progress=telling.part,
    )


class _Telling:
    """What standard error says: a line for each part of the work, within it the step that is taken, and questions."""

    def __init__(self) -> None:
        from airlock.commands.progress_line import Begun

        self.begun = Begun()

    def part(self, what: str) -> None:
        """Say that this part begins."""
        self._tell(f"{what} ...\n")

    def ask(self, likely: Likely) -> bool:
        """Ask whether it was renamed."""
        self._tell(f"Was the {likely.kind} {likely.old} renamed to {likely.new}? [y/N] ")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def _tell(self, text: str) -> None:
        self.begun.end()
        sys.stderr.write(text)
        sys.stderr.flush()
