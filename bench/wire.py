"""A client that costs less than what it measures: HTTP/1.1 on kept connections, nothing else.

httpx took 6 to 15 ms of CPU for a request among 100 connections, the API 2 to 3 ms for its answer: what had been
measured with it was httpx.
"""

from __future__ import annotations

import asyncio
import json
from typing import Self

# What `bench.served` answers without doing anything.
ASGI, FASTAPI = "/nothing-by-asgi", "/nothing-by-fastapi"


class Wire:
    """As many connections as there are requests at a time; each is used again."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        for _, writer in self._idle:
            writer.close()

    async def request(self, method: str, path: str, *, token: str = "", body: object = None) -> int:
        """Send one request, read its whole answer, return the status. A connection that broke is not used again."""
        connection = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        reader, writer = connection
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(content)}\r\n"
        head += "Content-Type: application/json\r\n" if content else ""
        head += f"Authorization: Bearer {token}\r\n" if token else ""
        writer.write(head.encode() + b"\r\n" + content)
        status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in headers if line)
        await reader.readexactly(int(fields["content-length"]))
        self._idle.append(connection)
        return int(status.split()[1])
