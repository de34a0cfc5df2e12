"""What the server warns of is heard on every driver's connection."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING

import pytest

from airlock.drivers.notices import hear

if TYPE_CHECKING:
    from tests.servers import Database

WARNS = "DO $$ BEGIN RAISE WARNING 'one: %', 2; END $$"


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
def test_a_warning_is_told_in_the_servers_words(driver: str, empty_database: Database) -> None:
    """And psycopg2's own list of notices holds it as before."""
    module, told = importlib.import_module(driver), list[str]()

    async def in_a_loop() -> None:
        connection = await module.connect(empty_database.url)
        hear(connection, told.append)
        await connection.execute(WARNS)
        await connection.close()

    if driver == "asyncpg":
        asyncio.run(in_a_loop())
    else:
        connection = module.connect(empty_database.url)
        hear(connection, told.append)
        connection.cursor().execute(WARNS)
        assert driver == "psycopg" or connection.notices == ["WARNING:  one: 2\n"]
        connection.close()
    assert told == ["one: 2"]
