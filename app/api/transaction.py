"""One request, one transaction."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from app.api.errors import database_faults
from app.database import async_session


async def _transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """Lend a session to one request: committed when the endpoint has returned, rolled back when it raised."""
    with database_faults():
        async with async_session(request.app.state.engine) as session:
            yield session


# "function": committed before the response is sent. The default commits afterwards, when a client has already
# read that something was stored which a failing COMMIT then forgets.
Transaction = Annotated[AsyncSession, Depends(_transaction, scope="function")]
