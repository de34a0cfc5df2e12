"""`make bench-api` compares ways of doing the same: each of them does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app import tasks, users
from app.database import session
from bench.api import MEASURED, side_by_side
from bench.mix import PAGE, Owned

if TYPE_CHECKING:
    import sqlalchemy as sa

    from app.settings import Settings

pytestmark = pytest.mark.server


async def test_every_way_does_every_operation(settings: Settings, engine: sa.Engine) -> None:
    """No error by any, and asyncpg is reached where the data access is."""
    with session(engine) as lent:
        me = users.create(lent, "a@b").id
        owned = Owned(tuple((me, tasks.create(lent, me, f"{number}").id) for number in range(PAGE + 1)))
    found = await side_by_side(settings, owned, seconds=0, users=2, turns=1)
    assert set(found) == set(MEASURED)
    assert [one.errors for by_way in found.values() for one in by_way.values()] == [()] * 9
