"""Measure how long the application's statements wait while this project's own history reaches a database of that size.

    python -m bench.history [ROWS] [CLIENTS]

ROWS (1,000,000) tasks and as many messages; CLIENTS (100) list, read, write and append by their user's key, as the data
access does, while `airlock upgrade` takes one revision after the other from the one that was the head before users' rows
got the key (user_id, id). Of each revision the longest that any one statement took is printed, and how many there were.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import asyncpg
import psycopg2

from airlock.scratch.embedded import available, scratch_cluster
from tests.history import ROOT, revisions

if TYPE_CHECKING:
    from uuid import UUID

BEFORE = "fd2abf270b21"
USERS = 1000
LONGEST_MS = 250
FILL = """
INSERT INTO phase2."user" (email) SELECT 'user' || n || '@example.org' FROM generate_series(1, {users}) n;
INSERT INTO phase2.task (user_id, title, created_at)
    SELECT u.id, 'task ' || n, now() - n * interval '1 minute' FROM phase2."user" u, generate_series(1, {each}) n;
INSERT INTO phase2.conversation (user_id) SELECT id FROM phase2."user";
INSERT INTO phase2.message (user_id, conversation_id, role, content, created_at)
    SELECT c.user_id, c.id, 'user', 'message ' || n, now() - n * interval '1 minute'
    FROM phase2.conversation c, generate_series(1, {each}) n;
"""
# Of a user: parameters are the user's id, a task's, the conversation's.
STATEMENTS = (
    "SELECT id, title FROM phase2.task WHERE user_id = $1 AND id <> $2 AND id <> $3 ORDER BY created_at DESC, id LIMIT 20",
    "UPDATE phase2.task SET completed = NOT completed WHERE user_id = $1 AND id = $2 AND id <> $3",
    "INSERT INTO phase2.task (user_id, title) SELECT $1::uuid, 'new' WHERE $2::uuid IS NOT NULL AND $3::uuid IS NOT NULL",
    (
        "INSERT INTO phase2.message (user_id, conversation_id, role, content)"
        " SELECT $1::uuid, $3::uuid, 'user', 'new' WHERE $2::uuid IS NOT NULL"
    ),
    (
        "SELECT id, content FROM phase2.message WHERE user_id = $1 AND conversation_id = $3 AND id <> $2"
        " ORDER BY created_at, id LIMIT 20"
    ),
)


class Clients:
    """So many connections, each sending one statement after the other with a short pause between them."""

    def __init__(self, url: str, owned: list[tuple[UUID, UUID, UUID]], many: int) -> None:
        self._url, self._owned, self._many = url, owned, many
        self._ended = asyncio.Event()
        self.longest = 0.0
        self.statements = 0
        self.errors: list[str] = []

    async def work(self) -> None:
        """Go on until `stop`."""
        await asyncio.gather(*(self._one(number) for number in range(self._many)))

    def stop(self) -> None:
        """End after the statements that run."""
        self._ended.set()

    def start_over(self) -> tuple[float, int]:
        """Return the longest statement in milliseconds and how many there were, and forget both."""
        found = self.longest * 1000, self.statements
        self.longest, self.statements = 0.0, 0
        return found

    async def _one(self, number: int) -> None:
        connection = await asyncpg.connect(self._url)
        dice = random.Random(number)  # noqa: S311  (traffic, not a secret)
        while not self._ended.is_set():
            begun = time.perf_counter()
            try:
                await connection.execute(dice.choice(STATEMENTS), *dice.choice(self._owned))
            except asyncpg.PostgresError as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            self.longest = max(self.longest, time.perf_counter() - begun)
            self.statements += 1
            await asyncio.sleep(dice.uniform(0.1, 0.3))
        await connection.close()


def airlock(url: str, target: str) -> list[str]:
    """Write the command that takes the database to a revision."""
    return [sys.executable, "-m", "airlock", "upgrade", target, "--url", url]


def fill(url: str, rows: int) -> list[tuple[UUID, UUID, UUID]]:
    """Migrate to BEFORE and write rows; return some users, each with a task and the conversation."""
    subprocess.run(airlock(url, BEFORE), cwd=ROOT, check=True, capture_output=True)
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(users=USERS, each=max(1, rows // USERS)))
        cursor.execute("VACUUM ANALYZE")
        cursor.execute(
            "SELECT DISTINCT ON (c.user_id) c.user_id::text, t.id::text, c.id::text"
            " FROM phase2.conversation c JOIN phase2.task t USING (user_id)"
        )
        found = cursor.fetchall()
    connection.close()
    return found


async def measure(url: str, owned: list[tuple[UUID, UUID, UUID]], many: int) -> int:
    """Take each further revision under the clients and print its line; 1 where a bound is missed."""
    clients = Clients(url, owned, many)
    working = asyncio.create_task(clients.work())
    await asyncio.sleep(5)
    clients.start_over()
    await asyncio.sleep(10)
    quiet, statements = clients.start_over()
    print(f"{'no migration':14} longest statement {quiet:7.0f} ms of {statements:,} in 10 s")
    worst = 0.0
    for revision in revisions()[revisions().index(BEFORE) + 1 :]:
        begun = time.perf_counter()
        run = await asyncio.create_subprocess_exec(
            *airlock(url, revision), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said, _ = await run.communicate()
        took = time.perf_counter() - begun
        longest, statements = clients.start_over()
        worst = max(worst, longest)
        print(f"{revision:14} longest statement {longest:7.0f} ms of {statements:,} in {took:.1f} s")
        if run.returncode:
            raise SystemExit(said.decode())
    clients.stop()
    await working
    print(f"longest {worst:.0f} ms (at most {LONGEST_MS}; {quiet:.0f} without a migration)")
    print("\n".join(clients.errors[:5]) or "no failed statement")
    return 1 if clients.errors or worst > LONGEST_MS else 0


def main(rows: int, many: int) -> int:
    """Measure once."""
    with scratch_cluster(max(available())) as cluster:
        url = cluster.url("postgres")
        begun = time.perf_counter()
        owned = fill(url, rows)
        print(
            f"{rows:,} tasks and messages, filled in {time.perf_counter() - begun:.0f} s; {many} clients, "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        return asyncio.run(measure(url, owned, many))


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(given + [1_000_000, 100][len(given) :])))
