"""psycopg: a class method of two classes connects, and the module has one of them under its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from airlock.drivers.statements import Patch, Replacement


def replace(replacement: Replacement, patch: Patch) -> None:
    """Put a replacement in the place of every connect function of this driver."""
    for owner in (psycopg.Connection, psycopg.AsyncConnection):
        bound = owner.__dict__["connect"].__func__
        patch(owner, classmethod(replacement("psycopg", bound, True)))
    patch(psycopg, psycopg.Connection.connect)
