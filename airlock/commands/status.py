"""`airlock status`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airlock.commands.answer import answer
from airlock.reports import status as face

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the common options are all it takes."""


def run(arguments: argparse.Namespace) -> int:
    """Print where the target stands."""
    from airlock.database.target import resolve_target
    from airlock.operations.status import status
    from airlock.project.project import Project

    project = Project.open(arguments.config, arguments.x)
    target = resolve_target(arguments.url, os.environ, project.ini_url)
    found = status(
        project, target, config=arguments.config, x_arguments=tuple(arguments.x), scratch=arguments.scratch
    )
    answer(arguments, face.document(found), face.text(found).splitlines())
    return 0
