"""`airlock downgrade TARGET`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.commands.migrating import configure_budgets, configure_instead, go
from airlock.records.upgrade import DOWN

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("target", metavar="TARGET", help="a revision, base or -N")
    configure_budgets(parser)
    configure_instead(parser)
    configure_losses(parser)


def configure_losses(parser: argparse.ArgumentParser) -> None:
    """Add what may be said of what is lost."""
    losses = parser.add_argument_group("losses")
    losses.add_argument(
        "--accept-loss",
        type=int,
        metavar="N",
        help="lose up to N rows and values: the number that was printed",
    )
    losses.add_argument(
        "--accept-unknown-loss", action="store_true", help="go on where something could not be counted"
    )
    losses.add_argument("--export", metavar="DIR", help="write what would be lost as CSV into DIR first")


def run(arguments: argparse.Namespace) -> int:
    """Downgrade the target database."""
    return go(arguments, DOWN)
