"""Notice a server that has fallen silent, and bring back whoever waits for it.

A server that hangs, or a proxy before one that is gone, leaves connections open: its kernel answers keepalives and
acknowledges what is sent, so that no timeout of TCP ever fires. libpq knows no timeout of its own for an answer, and
waits where no signal reaches it; only the end of the socket brings it back.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.drivers import client
from airlock.records.errors import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# After this long without an answer the server must show a sign of life, or counts as gone.
SILENCE_SECONDS = 15.0
PROBE_SECONDS = 5
# One lost packet, or a name that is not resolved for a moment, must not end a statement of hours.
_PROBES = 3
_LOOK_SECONDS = 1.0


def connected(label: str, parameters: dict[str, Any]) -> Any:
    """Connect by libpq's keywords to a server whose answers are waited for as long as it lives, and no longer.

    Where an answer is long in coming, a second connection is tried: one that is answered, be it with a refusal, says
    that the statement is a long one. After three in a row without an answer the socket is shut down, and
    ConnectionLost raised. Raises the driver's error where connecting fails.
    """
    return client.connect(around=_Patience(label, parameters), **parameters)


@dataclass
class _Patience:
    """What is entered for every statement, commit and rollback on a connection."""

    label: str
    parameters: dict[str, Any] = field(repr=False)
    ended: bool = False

    @contextlib.contextmanager
    def __call__(self, connection: Any) -> Iterator[None]:
        _watcher.start()
        key = threading.get_ident()
        _watcher.waiting[key] = _Wait(connection, self, time.monotonic())
        try:
            yield
        except client.Error as error:
            if self.ended:
                raise ConnectionLost(
                    f"{self.label}: the server has been silent for {SILENCE_SECONDS:.0f} s."
                ) from error
            raise
        finally:
            del _watcher.waiting[key]


@dataclass
class _Wait:
    connection: Any
    patience: _Patience
    # When it began, or when the server last showed a sign of life.
    since: float
    unanswered: int = 0


class _Watcher:
    """One thread for all connections of this process, started when the first of them waits."""

    def __init__(self) -> None:
        self.waiting: dict[int, _Wait] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        # Not alive either in a child that was forked while it ran.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._watch, name="airlock-silence", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            for key, wait in list(self.waiting.items()):
                if time.monotonic() - wait.since < SILENCE_SECONDS:
                    continue
                if _answers(wait.patience):
                    wait.since, wait.unanswered = time.monotonic(), 0
                    continue
                wait.unanswered += 1
                if wait.unanswered >= _PROBES and self.waiting.get(key) is wait:
                    wait.patience.ended = True
                    sever(wait.connection)


_watcher = _Watcher()


def _answers(patience: _Patience) -> bool:
    parameters = {**patience.parameters, "connect_timeout": str(PROBE_SECONDS), "application_name": "airlock"}
    try:
        client.connect(**parameters).close()
    except client.Error as error:
        # A refusal is an answer.
        return "FATAL:" in str(error) or getattr(error, "sqlstate", None) is not None
    return True


def sever(connection: Any) -> None:
    """Shut down the socket under a connection, from another thread than its own."""
    shut_down(_under(connection))


def peer_of(connection: Any) -> Any:
    """Tell the address at the other end of a connection."""
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        return twin.getpeername()


def sockets_to(peer: Any, connections: Iterable[Any] = ()) -> list[socket.socket]:
    """Duplicate every socket of this process that leads to the address `peer`, and those under `connections`.

    Also those that nobody has told of: a connection that env.py or a revision opens by itself, or is about to. What
    is opened afterwards is not among them, whatever becomes of the numbers of the descriptors.
    """
    found = [twin for connection in connections for twin in _under(connection)]
    with contextlib.suppress(OSError):
        for path in list(Path("/dev/fd").iterdir()):
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.fstat(int(path.name)).st_mode):
                    with socket.socket(fileno=os.dup(int(path.name))) as other:
                        if other.getpeername() == peer:
                            found.append(other.dup())
    return found


def shut_down(sockets: Iterable[socket.socket]) -> None:
    """Shut down the connections behind these duplicates, and close them: whoever waits for an answer is woken."""
    for twin in sockets:
        with contextlib.suppress(OSError), twin:
            twin.shutdown(socket.SHUT_RDWR)


def _under(connection: Any) -> list[socket.socket]:
    """Duplicate the socket under a connection of psycopg2, psycopg or asyncpg; none where it is closed."""
    with contextlib.suppress(Exception):
        inner = getattr(connection, "driver_connection", connection)
        transport = getattr(inner, "_transport", None)
        if transport is not None:
            return [transport.get_extra_info("socket").dup()]
        return [socket.socket(fileno=os.dup(inner.fileno()))]
    return []
