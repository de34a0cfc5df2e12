"""asyncpg: one function connects, and its pools know it by another module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import asyncpg.connection

if TYPE_CHECKING:
    from airlock.drivers.statements import Patch, Replacement


def replace(replacement: Replacement, patch: Patch) -> None:
    """Put a replacement in the place of every connect function of this driver."""
    connect = replacement("asyncpg", asyncpg.connect, False)
    patch(asyncpg, connect)
    patch(asyncpg.connection, connect)
