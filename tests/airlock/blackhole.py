"""A TCP proxy in front of a server, which at a chosen moment forwards nothing more, and closes nothing either.

What goes into it is acknowledged by the kernel and never answered: no keepalive and no tcp_user_timeout notices.

    python -m tests.airlock.blackhole ADDRESS PATH    # serve until standard input ends; prints the port
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import threading
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator


class BlackHole:
    """Forward until a client has said `trigger` (which is forwarded no more, nor anything after it)."""

    def __init__(self, to: tuple[str, int] | str, trigger: str = "", address: str = "127.0.0.1") -> None:
        self.silent = False
        self._to = to
        self._trigger = trigger.encode()
        self._listener = socket.create_server((address, 0))
        self._selector = selectors.DefaultSelector()
        self._partner: dict[socket.socket, socket.socket] = {}
        self._said: dict[socket.socket, bytes] = {}
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.silent = True
        for one in (self._listener, *self._partner):
            one.close()

    def _serve(self) -> None:
        # Closing the sockets under it ends this thread.
        with contextlib.suppress(OSError, ValueError, KeyError):
            while not self.silent:
                for key, _ in self._selector.select():
                    self._ready(key.fileobj)  # type: ignore[arg-type]

    def _ready(self, one: socket.socket) -> None:
        # What became ready together with the trigger is swallowed too.
        if self.silent:
            return
        if one is self._listener:
            client, _ = one.accept()
            server = socket.socket(socket.AF_UNIX if isinstance(self._to, str) else socket.AF_INET)
            server.connect(self._to)
            self._partner |= {client: server, server: client}
            self._said[client] = b""
            self._selector.register(client, selectors.EVENT_READ)
            self._selector.register(server, selectors.EVENT_READ)
            return
        if one not in self._partner:
            return
        with contextlib.suppress(ConnectionError):
            data = one.recv(65536)
            if data and one in self._said:
                # A statement may come in two pieces.
                self._said[one] = self._said[one][-200:] + data
                self.silent = bool(self._trigger) and self._trigger in self._said[one]
            if self.silent:
                return
            if data:
                self._partner[one].sendall(data)
                return
        other = self._partner.pop(one)
        self._partner.pop(other, None)
        for end in (one, other):
            self._selector.unregister(end)
            end.close()


@contextlib.contextmanager
def black_hole(url: str, trigger: str) -> Iterator[tuple[str, BlackHole]]:
    """Put a proxy before the server of `url` until the block ends; lend the URL through it, and the proxy."""
    parsed = make_url(url)
    host = parsed.query.get("host")
    to = (
        f"{host}/.s.PGSQL.{parsed.query.get('port', 5432)}"
        if host
        else (parsed.host or "", parsed.port or 5432)
    )
    hole = BlackHole(to, trigger)
    try:
        through = parsed.set(host="127.0.0.1", port=hole.port, query={})
        yield through.render_as_string(hide_password=False), hole
    finally:
        hole.close()


if __name__ == "__main__":
    sys.stdout.write(f"{BlackHole(sys.argv[2], address=sys.argv[1]).port}\n")
    sys.stdout.flush()
    sys.stdin.read()
