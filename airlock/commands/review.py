"""`airlock review`: write the bundle that a DBA approves revisions from. Exits 1 where the answer is no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock import api
from airlock.commands.arguments import add_blocker, add_range, add_rows
from airlock.commands.trace import Progress
from airlock.records.trace import JUDGED_FROM_ROWS

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from airlock.records.review import Review


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_range(parser)
    parser.add_argument("--pending", action="store_true", help="review what the target lacks")
    parser.add_argument(
        "--out", default="review", metavar="DIR", help="where the files go (default: %(default)s)"
    )
    add_rows(parser, api.TRACE_ROWS, least=JUDGED_FROM_ROWS)
    add_blocker(parser)


def run(arguments: argparse.Namespace) -> int:
    """Review in scratch, read the target's sizes where one is named, write the files, answer."""
    from importlib.metadata import version

    from airlock.commands.answer import answer, made_directory, write_reports
    from airlock.records.errors import DONE, NOT_EXAMINED, REFUSED, RevisionFailed
    from airlock.reports.bundle import document, files
    from airlock.reports.review import lines
    from airlock.scratch.isolation import watched

    out = made_directory(arguments.out)
    progress = Progress()
    failed: RevisionFailed | None = None

    def show(made: Review) -> None:
        progress.end()
        _clear(out)
        bundle = files(made, version=version("airlock"), prefix=_prefix(arguments.config))
        written = write_reports(out, bundle)
        asked = arguments.json or arguments.log is not None
        answer(arguments, document(made) if asked else {}, lines(made, out, written))

    try:
        with watched(progress):
            made = api.review(
                arguments.config,
                revisions=arguments.range,
                pending=arguments.pending,
                url=arguments.url,
                scratch=arguments.scratch,
                rows=arguments.rows,
                blocker_s=arguments.blocker_seconds if arguments.blocker else 0.0,
                x_arguments=arguments.x,
                # Whatever ends it: what was seen until then is worth as much as ever.
                cut_short=show,
                progress=progress.count,
            )
    except RevisionFailed as error:
        if error.reviewed is None:
            raise
        failed, made = error, error.reviewed
    finally:
        progress.end()
    show(made)
    if failed is not None:
        raise failed
    if made.refusals:
        return REFUSED
    return NOT_EXAMINED if made.unseen or made.unexamined else DONE


def _clear(out: Path) -> None:
    """Remove the scripts of an earlier bundle: of a revision no longer reviewed one would be left over."""
    for direction in ("up", "down"):
        for path in out.glob(f"*.{direction}.sql"):
            head = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            if head.startswith("-- ") and head.endswith(f" ({direction})"):
                path.unlink()


def _prefix(config: Path) -> str:
    """Lead from the repository's root to the project: code scanning counts paths from there."""
    directory = config.resolve().parent
    for root in (directory, *directory.parents):
        if (root / ".git").exists():
            within = directory.relative_to(root).as_posix()
            return "" if within == "." else f"{within}/"
    return ""
