"""Embedded scratch servers that serve one question after the other, where the one before left nothing on them.

A server costs more to start than most questions take. What outlives a scratch database is shared by all databases of its
server: roles, tablespaces, settings. A history that leaves any of it would meet it in the next question, so that gets a
new server, as it would without all this.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.drivers.libpq_environment import no_libpq_environment
from airlock.records.errors import NotExamined
from airlock.scratch import embedded, memory

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHARED = "SELECT relname FROM pg_class WHERE relisshared AND relkind = 'r' ORDER BY relname"
# A vacuum of PostgreSQL's own moves these.
_ROWS = "SELECT '{0}', (to_jsonb(t) - 'datfrozenxid' - 'datminmxid')::text FROM pg_catalog.{0} t"
_BESIDE_CATALOGUES = """
SELECT 'slot', slot_name::text FROM pg_replication_slots
UNION ALL SELECT 'setting', concat_ws('=', sourcefile, name, setting) FROM pg_file_settings
UNION ALL SELECT 'prepared transaction', gid FROM pg_prepared_xacts
UNION ALL SELECT 'objects of the administrator''s database',
  concat_ws(' ', (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_type))
"""


@dataclass
class SpareServer:
    """One embedded server, what its settings call it, what was on it before its first question (empty where nobody looked)."""

    major: int
    in_memory: bool
    cluster: embedded.Cluster
    name: str
    stack: contextlib.ExitStack = field(repr=False)
    fresh: frozenset[tuple[str, str]] = frozenset()
    begun: bool = False

    @classmethod
    def started(cls, major: int, *, in_memory: bool) -> SpareServer:
        """Start one."""
        name = secrets.token_hex(16)
        with contextlib.ExitStack() as stack:
            cluster = stack.enter_context(embedded.scratch_cluster(major, identity=name, in_memory=in_memory))
            return cls(major, in_memory, cluster, name, stack.pop_all())

    def begin(self) -> None:
        """Remember what is on it before its first question, where it may serve another."""
        self.begun = True
        if _spare is not None:
            self.fresh = self.look()

    def as_it_was(self) -> bool:
        """Tell whether nothing is left on it that was not there when it was new. False where nobody knows."""
        try:
            return self.look() == self.fresh
        except client.Error:
            return False

    def look(self) -> frozenset[tuple[str, str]]:
        """Read all that the databases of the server share."""
        with no_libpq_environment():
            connection = client.connect(self.cluster.url(), autocommit=True)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(_SHARED)
            queries = [_ROWS.format(row[0]) for row in cursor.fetchall()]
            cursor.execute(" UNION ALL ".join([*queries, _BESIDE_CATALOGUES]))
            return frozenset((str(kind), str(what)) for kind, what in cursor.fetchall())


@dataclass
class _Spare:
    """The servers that stand idle."""

    idle: list[SpareServer] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: bool = False

    def take(self, major: int, *, in_memory: bool) -> SpareServer | None:
        with self.lock:
            found = next((one for one in self.idle if (one.major, one.in_memory) == (major, in_memory)), None)
            if found is not None:
                self.idle.remove(found)
            return found

    def give(self, server: SpareServer) -> bool:
        with self.lock:
            if not self.ended:
                self.idle.append(server)
            return not self.ended

    def end(self) -> None:
        with self.lock, contextlib.ExitStack() as stack:
            self.ended = True
            for one in self.idle:
                stack.push(one.stack)


_spare: _Spare | None = None


@contextlib.contextmanager
def serving_on() -> Iterator[None]:
    """Let embedded scratch servers of this process serve on, one question after the other, until the block ends."""
    global _spare
    if _spare is not None:
        yield
        return
    _spare = _Spare()
    try:
        yield
    finally:
        ended, _spare = _spare, None
        ended.end()


@contextlib.contextmanager
def lent(major: int, *, in_memory: bool) -> Iterator[SpareServer]:
    """Lend a server that is new, or as if it were, until the block ends; `in_memory` where it may lie there.

    Raises NotExamined in place of what the block raises where the server had no space left.
    """
    spare = _spare
    server = spare.take(major, in_memory=in_memory) if spare is not None else None
    server = server or SpareServer.started(major, in_memory=in_memory)
    try:
        yield server
    except Exception as error:
        if memory.FULL in server.cluster.logged():
            server.stack.close()
            raise NotExamined(
                f"The scratch server had no space left in {server.cluster.data.parent.parent}.",
                then=memory.MORE_SPACE,
            ) from error
        # What failed may have left nothing all the same: a look tells.
        _end(server, spare)
        raise
    except BaseException:
        server.stack.close()
        raise
    else:
        _end(server, spare)


def _end(server: SpareServer, spare: _Spare | None) -> None:
    """Keep a server for the next question where it is as it was, else stop it."""
    if spare is None or not server.as_it_was() or not spare.give(server):
        server.stack.close()
