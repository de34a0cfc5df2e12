"""Clients of the older release at work while a step runs: what they wait, and what breaks for them."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.operations.drill import failures
from airlock.operations.older_release.statements import (
    FIRST_NUMBER,
    NUMBERS_PER_CLIENT,
    TableStatements,
    first_line,
    statements_for,
)
from airlock.records.drill import Broken, Stall
from airlock.records.errors import NotExamined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.samples import Table

# A client rests between statements: people do, and a machine without a free processor measures itself.
_REST_S = 0.02
_BEFORE_S, _AFTER_S = 0.25, 0.25
_BLOCKED_S = 1.5
_NUMBERS_PER_TURN = 10_000
_WORDS = ("select", "insert", "update", "select", "delete")


@dataclass
class Traffic:
    """Many clients, each with a connection and prepared statements of its own, until they are told to stop."""

    url: str
    clients: int
    tables: Sequence[Table]
    search_path: str | None = None
    blocker: bool = False
    # Rows of earlier traffic may still be there: an append-only table keeps them.
    turn: int = 0
    times: list[tuple[float, float]] = field(default_factory=list)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    ready: threading.Barrier | None = None
    unprepared: set[str] = field(default_factory=set)

    @contextlib.contextmanager
    def flowing(self) -> Iterator[Traffic]:
        """Let the clients work from a moment before the block to a moment after it.

        Raises NotExamined where the server does not take so many.
        """
        statements = [statements_for(table) for table in self.tables]
        threads = []
        if statements:
            self.ready = threading.Barrier(self.clients + 1)
            threads = [
                threading.Thread(target=self._client, args=(number, connection, statements), daemon=True)
                for number, connection in enumerate(self._connections())
            ]
            for thread in threads:
                thread.start()
            with contextlib.suppress(threading.BrokenBarrierError):
                self.ready.wait(30)
            time.sleep(_BEFORE_S)
        try:
            with self._blocking(statements) if self.blocker and statements else contextlib.nullcontext():
                yield self
            if statements:
                time.sleep(_AFTER_S)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(30)

    def stall(self, direction: str) -> Stall | None:
        """Sum up what the statements took."""
        took = sorted(ms for _, ms in self.times)
        if not took:
            return None
        return Stall(
            direction,
            len(took),
            took[len(took) // 2],
            took[min(int(len(took) * 0.99), len(took) - 1)],
            took[-1],
        )

    def broken(self, direction: str) -> list[Broken]:
        """List the statements that failed, with the error and how often."""
        return [
            Broken(direction, statement, error, times)
            for (statement, error), times in sorted(self.errors.items())
        ]

    @contextlib.contextmanager
    def _blocking(self, statements: list[TableStatements]) -> Iterator[None]:
        """Read every table in a transaction that then stays open for a while, doing nothing."""
        connection = client.connect(self.url, application_name="airlock-drill-blocker")
        done = threading.Event()

        def hold() -> None:
            done.wait(_BLOCKED_S)
            connection.rollback()

        with connection.cursor() as cursor:
            for one in statements:
                cursor.execute(one.keys)
        holder = threading.Thread(target=hold, daemon=True)
        holder.start()
        try:
            yield
        finally:
            done.set()
            holder.join()
            connection.close()

    def _connections(self) -> list[Any]:
        """Connect all clients, or none: fewer than were asked for would be less traffic than the report says."""
        made: list[Any] = []
        try:
            for _ in range(self.clients):
                made.append(client.connect(self.url, application_name="airlock-drill-client"))
                made[-1].autocommit = True
        except client.Error as error:
            for connection in made:
                connection.close()
            raise NotExamined(
                f"The scratch server took {len(made)} of {self.clients} clients: {failures.one_line(error)}",
                then="--traffic with fewer clients, or --scratch with the URL of a server that takes more",
            ) from error
        return made

    def _client(self, number: int, connection: Any, statements: list[TableStatements]) -> None:
        chance = random.Random(number)  # noqa: S311  which statement comes next is no secret
        with connection.cursor() as cursor:
            if self.search_path is not None:
                cursor.execute("SELECT set_config('search_path', %s, false)", (self.search_path,))
            keys = self._prepare(cursor, statements)
            if self.ready is not None:
                with contextlib.suppress(threading.BrokenBarrierError):
                    self.ready.wait(30)
            turn, fresh = number, FIRST_NUMBER + number * NUMBERS_PER_CLIENT
            fresh += self.turn * _NUMBERS_PER_TURN % NUMBERS_PER_CLIENT
            mine: dict[int, list[str]] = {}
            while not self.stop.is_set():
                place = turn % len(statements)
                word = _WORDS[turn // len(statements) % len(_WORDS)]
                turn += 1
                fresh += 1
                self._send(cursor, place, statements[place], word, keys[place], fresh, mine, chance)
                time.sleep(_REST_S * chance.random() * 2)
            for place, left in mine.items():
                for key in left:
                    with contextlib.suppress(client.Error):
                        cursor.execute(_execute("delete", place), (key,))
        connection.close()

    def _prepare(self, cursor: Any, statements: list[TableStatements]) -> list[list[str]]:
        keys: list[list[str]] = []
        for place, one in enumerate(statements):
            for name, sql in one.named().items():
                word = name.partition(" ")[0]
                parameters = "(text, bigint)" if word == "insert" else "(text)"
                try:
                    cursor.execute(f"PREPARE {_name(word, place)} {parameters} AS {sql}")
                except client.Error as error:
                    self.errors[name, first_line(error)] += 1
                    self.unprepared.add(name)
            try:
                cursor.execute(one.keys)
                keys.append([row[0] for row in cursor.fetchall()])
            except client.Error:
                keys.append([])
        return keys

    def _send(
        self,
        cursor: Any,
        place: int,
        one: TableStatements,
        word: str,
        keys: list[str],
        fresh: int,
        mine: dict[int, list[str]],
        chance: random.Random,
    ) -> None:
        own = mine.setdefault(place, [])
        takes_own = word == "delete" and one.gives_rows
        name = f"{word} {one.table}"
        if name not in one.named() or name in self.unprepared or not keys or (takes_own and not own):
            return
        key = own.pop() if takes_own else chance.choice(keys)
        began = time.perf_counter()
        try:
            cursor.execute(_execute(word, place), (key, fresh) if word == "insert" else (key,))
            if word == "insert":
                own.extend(row[0] for row in cursor.fetchall())
            moved = cursor.fetchall() if word == "update" and one.by_place else None
        except client.Error as error:
            moved = None
            self.errors[name, first_line(error)] += 1
        self.times.append((began, (time.perf_counter() - began) * 1000))
        if moved is not None:
            # Somebody else's update moved the row as well: one that is not there any more is not asked for again.
            keys.remove(key)
            keys += [row[0] for row in moved]


def _name(word: str, place: int) -> str:
    # By number: a table's name may be as long as a name can be, and names of statements are cut as well.
    return f"{word}_{place}"


def _execute(word: str, place: int) -> str:
    return f"EXECUTE {_name(word, place)} {'(%s, %s)' if word == 'insert' else '(%s)'}"
