"""One request, one transaction."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from app.api.errors import database_faults
from app.database import driver_session
from app.driver_session import DriverSession


async def _transaction(request: Request) -> AsyncIterator[DriverSession]:
    """Lend a session to one request: committed when the endpoint has returned, rolled back when it raised."""
    with database_faults():
        async with driver_session(request.app.state.engine) as session:
            yield session


# "function": committed before the response is sent. The default commits afterwards, when a client has already
# read that something was stored which a failing COMMIT then forgets.
Transaction = Annotated[DriverSession, Depends(_transaction, scope="function")]
