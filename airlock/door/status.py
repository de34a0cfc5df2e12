"""`airlock status`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from airlock.faces import status as face
from airlock.words.secrets import scrub

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the common options are all it takes."""
    parser.set_defaults(wants_target=True)


def run(arguments: argparse.Namespace) -> int:
    """Print where the target stands."""
    from airlock.acts.status import status
    from airlock.instruments.project import Project
    from airlock.instruments.target import resolve_target

    project = Project.open(arguments.config, arguments.x)
    target = resolve_target(arguments.url, os.environ, project.ini_url)
    found = status(
        project, target, config=arguments.config, x_arguments=tuple(arguments.x), scratch=arguments.scratch
    )
    said = json.dumps(face.document(found), ensure_ascii=False) if arguments.json else face.text(found)
    sys.stdout.write(scrub(said) + "\n")
    return 0
