"""Clients of the older release at work while a step runs: what they wait, and what breaks for them."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg2

from airlock.acts.drill.clients import FIRST_NUMBER, NUMBERS_PER_CLIENT, TableStatements, statements_for
from airlock.words.drill import Broken, Stall

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.instruments.rows import Table

# A client rests between statements: people do, and a machine without a free processor measures itself.
_REST_S = 0.02
_BEFORE_S, _AFTER_S = 0.25, 0.25
_BLOCKED_S = 1.5
_WORDS = ("select", "insert", "update", "select", "delete")


@dataclass
class Traffic:
    """Many clients, each with a connection and prepared statements of its own, until they are told to stop."""

    url: str
    clients: int
    tables: Sequence[Table]
    search_path: str | None = None
    blocker: bool = False
    times: list[tuple[float, float]] = field(default_factory=list)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    ready: threading.Barrier | None = None

    @contextlib.contextmanager
    def flowing(self) -> Iterator[Traffic]:
        """Let the clients work from a moment before the block to a moment after it."""
        statements = [statements_for(table) for table in self.tables]
        threads = []
        if statements:
            self.ready = threading.Barrier(self.clients + 1)
            threads = [
                threading.Thread(target=self._client, args=(number, statements), daemon=True)
                for number in range(self.clients)
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
        connection = psycopg2.connect(self.url, application_name="airlock-drill-blocker")
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

    def _client(self, number: int, statements: list[TableStatements]) -> None:
        connection = psycopg2.connect(self.url, application_name="airlock-drill-client")
        connection.autocommit = True
        chance = random.Random(number)  # noqa: S311  which statement comes next is no secret
        with connection.cursor() as cursor:
            if self.search_path is not None:
                cursor.execute("SELECT set_config('search_path', %s, false)", (self.search_path,))
            keys = self._prepare(cursor, statements)
            if self.ready is not None:
                with contextlib.suppress(threading.BrokenBarrierError):
                    self.ready.wait(30)
            turn, fresh = number, FIRST_NUMBER + number * NUMBERS_PER_CLIENT
            mine: dict[str, list[str]] = {}
            while not self.stop.is_set():
                one = statements[turn % len(statements)]
                word = _WORDS[turn // len(statements) % len(_WORDS)]
                turn += 1
                fresh += 1
                self._send(cursor, one, word, keys.get(one.table, []), fresh, mine, chance)
                time.sleep(_REST_S * chance.random() * 2)
            for table, left in mine.items():
                for key in left:
                    with contextlib.suppress(psycopg2.Error):
                        cursor.execute(_execute("delete", table), (key,))
        connection.close()

    def _prepare(self, cursor: Any, statements: list[TableStatements]) -> dict[str, list[str]]:
        keys: dict[str, list[str]] = {}
        for one in statements:
            for name, sql in one.named().items():
                word = name.partition(" ")[0]
                parameters = "(text, bigint)" if word == "insert" else "(text)"
                try:
                    cursor.execute(f'PREPARE "{word} {_name(one.table)}" {parameters} AS {sql}')
                except psycopg2.Error as error:
                    self.errors[name, _line(error)] += 1
            try:
                cursor.execute(one.keys)
                keys[one.table] = [row[0] for row in cursor.fetchall()]
            except psycopg2.Error:
                keys[one.table] = []
        return keys

    def _send(
        self,
        cursor: Any,
        one: TableStatements,
        word: str,
        keys: list[str],
        fresh: int,
        mine: dict[str, list[str]],
        chance: random.Random,
    ) -> None:
        own = mine.setdefault(one.table, [])
        takes_own = word == "delete" and one.gives_rows
        if f"{word} {one.table}" not in one.named() or not keys or (takes_own and not own):
            return
        key = own.pop() if takes_own else chance.choice(keys)
        began = time.perf_counter()
        try:
            cursor.execute(_execute(word, one.table), (key, fresh) if word == "insert" else (key,))
            if word == "insert":
                own.extend(row[0] for row in cursor.fetchall())
            moved = cursor.fetchall() if word == "update" and one.by_place else None
        except psycopg2.Error as error:
            moved = None
            self.errors[f"{word} {one.table}", _line(error)] += 1
        self.times.append((began, (time.perf_counter() - began) * 1000))
        if moved is not None:
            # Somebody else's update moved the row as well: one that is not there any more is not asked for again.
            keys.remove(key)
            keys += [row[0] for row in moved]


def _name(table: str) -> str:
    return table.replace('"', "")


def _execute(word: str, table: str) -> str:
    given = "(%s, %s)" if word == "insert" else "(%s)"
    return f'EXECUTE "{word} {_name(table)}" {given}'.replace("%%", "%")


def _line(error: psycopg2.Error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
