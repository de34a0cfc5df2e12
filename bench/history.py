"""Measure how long the application's statements wait while this project's own history reaches a database of that size.

    python -m bench.history [ROWS] [CLIENTS]

ROWS (1,000,000) tasks and as many messages; CLIENTS (100) list, read, write and append by their user's key, as the data
access does, while `airlock upgrade` takes one revision after the other from the one that was the head before users' rows
got the key (user_id, id). Of each revision the longest that any one statement took is printed, and how many there were;
beside it the longest wait for a lock that the run itself saw, and the longest that the process of the clients got no
processor: on a busy machine a long statement may be that alone. 10,000,000 rows take 10 GB of disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import psycopg2

from airlock.scratch.embedded import available, scratch_cluster
from tests.history import ROOT, revisions

BEFORE = "fd2abf270b21"
USERS = 1000
LONGEST_MS = 250
PAUSE_SECONDS = 0.01
USERS_SQL = """
INSERT INTO phase2."user" (email) SELECT 'user' || n || '@example.org' FROM generate_series(1, {users}) n;
INSERT INTO phase2.conversation (user_id) SELECT id FROM phase2."user";
"""
TASKS_SQL = """
INSERT INTO phase2.task (user_id, title, created_at)
    SELECT u.id, 'task ' || n, now() - n * interval '1 minute' FROM phase2."user" u, generate_series(1, {each}) n;
VACUUM ANALYZE phase2.task;
"""
MESSAGES_SQL = """
INSERT INTO phase2.message (user_id, conversation_id, role, content, created_at)
    SELECT c.user_id, c.id, 'user', 'message ' || n, now() - n * interval '1 minute'
    FROM phase2.conversation c, generate_series(1, {each}) n;
VACUUM ANALYZE phase2.message;
"""
# A task of each is found by an index: a join would sort all that there are.
OWNED_SQL = """
SELECT c.user_id::text, (SELECT t.id::text FROM phase2.task t WHERE t.user_id = c.user_id LIMIT 1), c.id::text
FROM phase2.conversation c
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


@dataclass(frozen=True)
class Seen:
    """The longest statement and the longest time without a processor, in milliseconds; how many statements there were."""

    longest: float
    starved: float
    statements: int

    def __str__(self) -> str:
        return f"longest statement {self.longest:7.0f} ms of {self.statements:,}, no processor for {self.starved:.0f} ms"


class Clients:
    """So many connections, each sending one statement after the other with a short pause between them."""

    def __init__(self, url: str, owned: list[tuple[UUID, UUID, UUID]], many: int) -> None:
        self._url, self._owned, self._many = url, owned, many
        self._ended = asyncio.Event()
        self.longest = 0.0
        self.starved = 0.0
        self.statements = 0
        self.errors: list[str] = []

    async def work(self) -> None:
        """Go on until `stop`."""
        await asyncio.gather(self._watch(), *(self._one(number) for number in range(self._many)))

    def stop(self) -> None:
        """End after the statements that run."""
        self._ended.set()

    def start_over(self) -> Seen:
        """Return what was seen, and forget it."""
        found = Seen(self.longest * 1000, self.starved * 1000, self.statements)
        self.longest, self.starved, self.statements = 0.0, 0.0, 0
        return found

    async def _watch(self) -> None:
        while not self._ended.is_set():
            begun = time.perf_counter()
            await asyncio.sleep(PAUSE_SECONDS)
            self.starved = max(self.starved, time.perf_counter() - begun - PAUSE_SECONDS)

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
    return [sys.executable, "-m", "airlock", "upgrade", target, "--url", url, "--json"]


def run(url: str, *statements: str) -> list[tuple[str, str, str]]:
    """Send statements, each committed by itself, past the foreign keys; return the last one's rows."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        # The rows fit by the way they are made: one look for each would double the time.
        cursor.execute("SET session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def fill(url: str, rows: int) -> list[tuple[UUID, UUID, UUID]]:
    """Migrate to BEFORE and write rows; return some users, each with a task and the conversation."""
    subprocess.run(airlock(url, BEFORE), cwd=ROOT, check=True, capture_output=True)
    each = max(1, rows // USERS)
    run(url, *split(USERS_SQL.format(users=USERS)))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda sql: run(url, *split(sql.format(each=each))), (TASKS_SQL, MESSAGES_SQL)))
    return [(UUID(user), UUID(task), UUID(talk)) for user, task, talk in run(url, OWNED_SQL)]


def split(text: str) -> list[str]:
    """Take the statements of a text apart: VACUUM must be alone."""
    return [one for one in text.split(";") if one.strip()]


async def measure(url: str, owned: list[tuple[UUID, UUID, UUID]], many: int) -> int:
    """Take each further revision under the clients and print its line; 1 where a bound is missed."""
    clients = Clients(url, owned, many)
    working = asyncio.create_task(clients.work())
    await asyncio.sleep(5)
    clients.start_over()
    await asyncio.sleep(10)
    quiet = clients.start_over()
    print(f"{'no migration':14} {quiet} in 10 s", flush=True)
    worst = 0.0
    for revision in revisions()[revisions().index(BEFORE) + 1 :]:
        begun = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *airlock(url, revision), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, errors = await process.communicate()
        took = time.perf_counter() - begun
        if process.returncode:
            raise SystemExit(errors.decode())
        waited = json.loads(said.splitlines()[-1])["longest_block_ms"]
        seen = clients.start_over()
        worst = max(worst, seen.longest)
        print(f"{revision:14} {seen} in {took:.1f} s; longest wait for its locks {waited:.0f} ms", flush=True)
    clients.stop()
    await working
    print(f"longest {worst:.0f} ms (at most {LONGEST_MS}; {quiet.longest:.0f} without a migration)")
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
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        return asyncio.run(measure(url, owned, many))


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(given + [1_000_000, 100][len(given) :])))
