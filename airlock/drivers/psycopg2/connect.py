"""psycopg2: one function connects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2

if TYPE_CHECKING:
    from airlock.drivers.statements import Patch, Replacement


def replace(replacement: Replacement, patch: Patch) -> None:
    """Put a replacement in the place of every connect function of this driver."""
    patch(psycopg2, replacement("psycopg2", psycopg2.connect, False))
