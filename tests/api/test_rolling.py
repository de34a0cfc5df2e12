"""A rolling deploy: the schema is migrated first, and every older release goes on serving on it.

The code that came with a revision often differs from the one before in nothing but the history it knows: of those
alike, the oldest is served, for which most revisions are later.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest

from app import users
from app.api.tokens import issue
from app.database import make_engine, session
from app.settings import Settings
from tests.history import ROOT, History, revisions
from tests.projects_copy import ProjectCopy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    from tests.servers import Database

CLIENTS = 20
ORDER = revisions()
# What a release does not know yet is taken out of today's code: lines of these files that hold the word.
KEYS = ORDER.index("d89ba5cd0468")
# Without conversations; without priorities; without keys of requests; as today.
KINDS = (0, 1, 2, KEYS)
WITHOUT_KEYS = """
class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class InFlight(Exception): ...


class OtherRequest(Exception): ...
"""
WITHOUT_PRIORITY = ("app/models/tables.py", "app/tasks.py", "app/api/schemas.py", "app/api/tasks.py")


def release(directory: Path, number: int) -> Path:
    """Write the code as it was delivered with the revision of this number."""
    copy = ProjectCopy.make(directory)
    for path in (directory / "alembic" / "versions").glob("*.py"):
        if any(f'revision: str = "{later}"' in path.read_text() for later in ORDER[number + 1 :]):
            path.unlink()
    if number < 2:
        for name in ("app/tasks.py", "app/api/tasks.py"):
            text = (directory / name).read_text()
            for piece in (
                ', "new_priority": priority', ', "priority"', ", priority: int = 1", ", priority=task.priority",
            ):  # fmt: skip
                text = text.replace(piece, "")
            (directory / name).write_text(text)
        copy.edit(
            "app/models/tables.py",
            """    priority: int = Field(
        default=1, ge=1, le=4, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("1")}
    )
""",
            "",
        )
        for name in WITHOUT_PRIORITY:
            file = directory / name
            file.write_text(
                "".join(line for line in file.read_text().splitlines(True) if "riority" not in line)
            )
    if number < KEYS:
        (directory / "app/models/idempotency_key.py").unlink()
        (directory / "app/idempotency.py").write_text(WITHOUT_KEYS)
        for name in ("app/models/__init__.py", "app/access.py"):
            text = (directory / name).read_text().replace('"IdempotencyKey", ', "")
            (directory / name).write_text(
                "".join(line for line in text.splitlines(True) if "dempotency_key" not in line)
            )
    if number < 1:
        copy.edit("app/api/application.py", "    app.include_router(conversations.router)\n", "")
    return directory


@contextlib.asynccontextmanager
async def serving(directory: Path, url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a release by uvicorn, in a process of its own, once it has started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    log = (directory / "stderr").open("a")
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--port", port, "--log-level", "warning", "--timeout-keep-alive", "120",
         "app.api.main:app"],
        cwd=directory, stderr=log,
        env={"PATH": "/usr/bin:/bin", "DATABASE_URL": url, "JWT_SECRET": "x" * 32},
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60,
            limits=httpx.Limits(max_connections=CLIENTS + 2),
        ) as client:  # fmt: skip
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get("/live")).status_code == 200:
                        break
                assert process.poll() is None, (directory / "stderr").read_text()
                await asyncio.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(60)
        log.close()


async def use(client: httpx.AsyncClient, user_id: UUID, *, number: int, stop: asyncio.Event) -> list[str]:
    """Ask every endpoint of the release of this number, over and over; tell what was not a success."""
    settings = Settings.model_validate({"database_url": "postgresql://h/d", "jwt_secret": "x" * 32})
    token = issue(user_id, settings.jwt_secret, timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    failed: list[str] = []

    async def ask(method: str, path: str, body: dict[str, str] | None = None, key: str = "") -> str:
        keyed = {"Idempotency-Key": key} if key else {}
        try:
            answer = await client.request(method, path, headers=headers | keyed, json=body)
        except httpx.TransportError as error:
            failed.append(f"release {number}: {method} {path}: {error!r}")
            return "/gone"
        if not answer.is_success:
            failed.append(f"release {number}: {method} {path}: {answer.status_code} {answer.text}")
        return str(answer.headers.get("Location", "/gone"))

    tasks, talks = f"/api/{user_id}/tasks", f"/api/{user_id}/conversations"
    while not stop.is_set() and not failed:
        await ask("GET", "/health")
        key = str(uuid4())
        where = await ask("POST", tasks, {"title": "Water"}, key if number >= KEYS else "")
        if number >= KEYS and await ask("POST", tasks, {"title": "Water"}, key) != where:
            failed.append(f"release {number} did a request twice")
        await ask("GET", f"{tasks}?limit=10")
        await ask("GET", where)
        await ask("PUT", where, {"description": "All of them"})
        await ask("PATCH", f"{where}/complete")
        await ask("DELETE", where)
        if number > 0:
            where = await ask("POST", talks, {"title": "Garden"})
            await ask("POST", f"{where}/messages", {"role": "user", "content": "What grows?"})
            await ask("GET", where)
            await ask("PUT", where, {"title": "Shade"})
            await ask("GET", talks)
            await ask("DELETE", where)
        await asyncio.sleep(0.1)
    return failed


@pytest.mark.proof
@pytest.mark.parametrize("number", KINDS)
async def test_a_release_serves_on_every_later_revision(
    number: int, tmp_path: Path, empty_database: Database
) -> None:
    """Twenty clients, each later revision migrated by airlock in turn: no failed request; a restart at the end starts."""
    directory = release(tmp_path, number)
    History(empty_database).upgrade(ORDER[number])
    settings = Settings.model_validate({"database_url": empty_database.url, "jwt_secret": "x" * 32})
    engine = make_engine(settings)
    with session(engine) as lent:
        user_ids = [users.create(lent, f"user{one}@example.org").id for one in range(CLIENTS)]
    engine.dispose()
    stop = asyncio.Event()
    async with serving(directory, empty_database.url) as client:
        using = [asyncio.create_task(use(client, user_id, number=number, stop=stop)) for user_id in user_ids]
        try:
            for later in ORDER[number + 1 :]:
                migrating = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "airlock", "upgrade", later, "--url", empty_database.url,
                    cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                )  # fmt: skip
                said, _ = await migrating.communicate()
                assert migrating.returncode == 0, said.decode()
                answer = await client.get("/health")
                assert (answer.status_code, answer.json()["heads"]) == (200, [later])
        finally:
            stop.set()
            failed = await asyncio.gather(*using)
    assert [one for several in failed for one in several] == []
    async with serving(directory, empty_database.url) as client:
        assert (await client.get("/health")).json() == {"status": "ok", "heads": [ORDER[-1]]}
