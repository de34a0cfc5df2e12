"""`airlock status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock import api
from airlock.commands.answer import answer
from airlock.reports import status as text

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the common options are all it takes."""


def run(arguments: argparse.Namespace) -> int:
    """Print where the target stands."""
    found = api.status(
        arguments.config, url=arguments.url, scratch=arguments.scratch, x_arguments=arguments.x
    )
    answer(arguments, text.document(found), text.text(found).splitlines())
    return 0
