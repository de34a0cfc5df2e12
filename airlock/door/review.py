"""`airlock review`: write the bundle that a DBA approves revisions from. Exits 1 where the answer is no."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
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
    parser.add_argument("--pending", action="store_true", help="review what the target lacks")
    parser.add_argument(
        "--out", default="review", metavar="DIR", help="where the files go (default: %(default)s)"
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=DEFAULT_ROWS,
        metavar="N",
        help="sample rows in every table (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Review in scratch, read the target's sizes where one is named, write the files, answer."""
    from importlib.metadata import version

    from airlock.acts.review import review
    from airlock.door.logged import append
    from airlock.faces.report import phrases
    from airlock.faces.report.bundle import document, files
    from airlock.instruments.project import Project
    from airlock.instruments.target import resolve_target
    from airlock.words.errors import DONE, NOT_EXAMINED, REFUSED, Usage
    from airlock.words.secrets import scrub

    if arguments.pending and arguments.range:
        raise Usage("--pending and a range exclude each other.")
    project = Project.open(arguments.config, arguments.x)
    target = None
    # A range contacts no target unless one is named on the command line.
    if arguments.pending or arguments.url:
        target = resolve_target(
            arguments.url, os.environ, lambda: project.config.get_main_option("sqlalchemy.url")
        )
    made = review(
        project,
        arguments.config,
        from_to=arguments.range,
        pending=arguments.pending,
        target=target,
        scratch=arguments.scratch,
        rows=arguments.rows,
        x_arguments=arguments.x,
    )
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    _clear(out)
    contents = files(made, version=version("airlock"), prefix=_prefix(arguments.config))
    for name, text in contents.items():
        (out / name).write_text(scrub(text), encoding="utf-8")
    append(arguments.log, "review", document(made))
    if arguments.json:
        sys.stdout.write(scrub(json.dumps(document(made), indent=2, ensure_ascii=False)) + "\n")
    else:
        for danger in made.dangers:
            for sentence in phrases.danger_sentences(danger):
                sys.stdout.write(f"{danger.revision} ({danger.direction})  {sentence}\n")
            sys.stdout.write(f"{danger.revision} ({danger.direction})  {phrases.answer(danger)}\n")
        sys.stdout.write(f"{len(contents)} files in {_shown(out)}\n")
        sys.stdout.write(f"{made.verdict}: {phrases.headline(made)}\n")
    if made.refusals:
        return REFUSED
    return NOT_EXAMINED if made.unseen else DONE


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


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
