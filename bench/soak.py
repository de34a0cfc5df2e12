"""Hours of a database's life in one place: traffic, upgrades and downgrades, and what befalls them, at random.

A primary with a standby, a PgBouncer before it, clients that write and read, and migrations up and down through either
way. Every few seconds one of the events below happens. A line is printed for each: what it was, how the run that it fell
on ended, and what it took to go on. It ends with exit code 1 at the first row that is lost, state that is no revision's,
exit code that is not of the list, or run that outlives its budget.

    python -m bench.soak --minutes 120 --seed 7
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from airlock.records.errors import Unreachable
from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.pooler import Pooler
from tests.airlock.running import rows
from tests.airlock.topologies.standing import cluster, standby_of, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from airlock.scratch import embedded
    from tests.airlock.running import Ran

CLIENTS = 4
WAIT = 20
# A run may outlive --wait by what noticing a dead network takes, and by what this machine is slow.
SLACK = 70
# What a run may end with, whatever befalls it (docs/exit-codes.md): never a traceback, never a bad argument.
# -SIGTERM: it arrived before the command had begun to listen for it, or to do anything.
ALLOWED = {0, 10, 12, 20, 21, 22, 40, 41, 50, 128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL}
# The backfill walks the key, and no further than where the first minutes write: the last run takes as long as the first.
HISTORY = [
    Revision(
        "s0",
        """
        op.execute("CREATE TABLE ledger (n bigint PRIMARY KEY)")
        op.execute("CREATE TABLE calm (id int PRIMARY KEY)")
        """,
    ),
    Revision(
        "s1", 'op.execute("ALTER TABLE ledger ADD COLUMN note text")', 'op.execute("ALTER TABLE ledger DROP COLUMN note")'
    ),
    Revision(
        "s2",
        # A runner that is killed behind its last statement leaves a valid index, and no version row yet.
        'with op.get_context().autocommit_block():\n'
        '    op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ledger_note ON ledger (note)")',
        'with op.get_context().autocommit_block():\n    op.execute("DROP INDEX CONCURRENTLY IF EXISTS ledger_note")',
    ),
    Revision(
        "s3",
        """
        with op.get_context().autocommit_block():
            low = 0
            while (high := op.get_bind().execute(sa.text(
                "SELECT max(n) FROM (SELECT n FROM ledger WHERE n > :low AND n <= 40000 ORDER BY n LIMIT 2000) AS batch"
            ), {"low": low}).scalar()) is not None:
                op.get_bind().execute(sa.text(
                    "UPDATE ledger SET note = 'moved' WHERE n > :low AND n <= :high AND note IS NULL"
                ), {"low": low, "high": high})
                low = high
        """,
        extra="resumable = True",
    ),
    Revision(
        "s4",
        "op.execute(\"ALTER TABLE ledger ADD CONSTRAINT short CHECK (length(note) < 99) NOT VALID\")\n"
        'op.execute("SELECT pg_sleep(1)")',
        'op.execute("ALTER TABLE ledger DROP CONSTRAINT short")',
    ),
    Revision("s5", 'op.execute("ALTER TABLE calm ADD COLUMN v int")', 'op.execute("ALTER TABLE calm DROP COLUMN v")'),
]  # fmt: skip
NAMES = [one.revision for one in HISTORY]


@dataclasses.dataclass
class Traffic:
    """Clients that write numbers of their own and read, through whichever way answers; they reconnect for ever."""

    urls: list[str]
    written: set[int] = dataclasses.field(default_factory=set)
    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    over: threading.Event = dataclasses.field(default_factory=threading.Event)
    longest: float = 0.0

    def run(self, number: int) -> None:
        """Write and read as one client, until it is over."""
        drawn = number
        while not self.over.is_set():
            try:
                with contextlib.closing(
                    psycopg2.connect(self.urls[number % 2], connect_timeout=5)
                ) as connection:
                    connection.autocommit = True
                    with connection.cursor() as cursor:
                        while not self.over.is_set():
                            drawn += CLIENTS
                            began = time.monotonic()
                            cursor.execute("INSERT INTO ledger (n) VALUES (%s)", (drawn,))
                            # The server has said yes: from here on the row must be there for ever.
                            self.written.add(drawn)
                            self.longest = max(self.longest, time.monotonic() - began)
                            cursor.execute("SELECT * FROM ledger WHERE n = %s", (drawn,))
                            assert cursor.fetchone() is not None
                            time.sleep(0.01)
            except psycopg2.Error as error:
                self.refused[type(error).__name__] += 1
                time.sleep(0.2)


@dataclasses.dataclass
class Place:
    """What stands, for as long as the soak lasts."""

    primary: embedded.Cluster
    standby: embedded.Cluster
    pooler: Pooler
    ini: Path
    chance: random.Random
    # What is running when something happens.
    run: forked.Started

    @property
    def url(self) -> str:
        """Choose a way to the primary."""
        return self.chance.choice([self.primary.url(), self.pooler.url])


def killed(place: Place) -> None:
    """Kill the runner."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(place.run.pid, signal.SIGKILL)


def stopped(place: Place) -> None:
    """Send the runner SIGTERM."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(place.run.pid, signal.SIGTERM)


def pooler_restarted(place: Place) -> None:
    """Restart PgBouncer."""
    place.pooler.restart()


def sessions_ended(place: Place) -> None:
    """End every session of the run, as an administrator may."""
    rows(
        place.primary.url(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'airlock-%'",
    )


def started(server: embedded.Cluster) -> None:
    """Start a server that has been stopped, however long it replays: a busy machine is slow, not wrong."""
    # Where pg_ctl gives up waiting, the server goes on.
    with contextlib.suppress(Unreachable):
        server.start()
    try:
        until(lambda: rows(server.url(), "SELECT 1"), "the server starts again", 300)
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *last_lines(server)])) from None


def last_lines(server: embedded.Cluster) -> list[str]:
    """Read the end of a server's log."""
    return (server.data / "server.log").read_text(errors="replace").splitlines()[-20:]


def crashed(place: Place) -> None:
    """Crash the server, and start it again."""
    place.primary.stop("immediate")
    started(place.primary)


def reader(place: Place) -> None:
    """Read the table in a transaction that stays open for five seconds."""
    with (
        contextlib.closing(psycopg2.connect(place.primary.url())) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM ledger")
        time.sleep(5)


def orphaned(place: Place) -> None:
    """Leave a prepared transaction on the table for five seconds."""
    with contextlib.closing(psycopg2.connect(place.primary.url())) as connection:
        connection.tpc_begin(connection.xid(1, f"soak{time.monotonic_ns()}", "x"))
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE ledger IN ACCESS SHARE MODE")
        connection.tpc_prepare()
        time.sleep(5)
        connection.tpc_rollback()


def standby_away(place: Place) -> None:
    """Take the synchronous standby away for six seconds."""
    url = place.primary.url()
    rows(url, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    rows(url, "SELECT pg_reload_conf()")
    try:
        place.standby.stop("immediate")
        time.sleep(6)
        started(place.standby)
        try:
            until(lambda: rows(url, "SELECT 1 FROM pg_stat_replication"), "the standby follows again", 60)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *last_lines(place.standby)])) from None
    finally:
        rows(url, "ALTER SYSTEM RESET synchronous_standby_names")
        rows(url, "SELECT pg_reload_conf()")


def no_slot(place: Place) -> None:
    """Take every connection slot for three seconds."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                stack.enter_context(contextlib.closing(psycopg2.connect(place.primary.url())))
        time.sleep(3)


EVENTS: list[Callable[[Place], None]] = [
    killed, stopped, pooler_restarted, sessions_ended, crashed, reader, orphaned, standby_away, no_slot,
]  # fmt: skip


def words_of(place: Place) -> tuple[str, ...]:
    """Choose the way: up to head or to some revision, or down to one; what goes down may take values along."""
    budgets = ("--wait", f"{WAIT}s", "--lock-timeout", "500ms", "--repair")
    here = [row[0] for row in rows(place.primary.url(), "SELECT version_num FROM alembic_version")]
    place_of = NAMES.index(here[0]) if here else 0
    if place_of > 0 and place.chance.random() < 0.4:
        lower = place.chance.choice(NAMES[:place_of])
        return (
            "downgrade",
            lower,
            "--accept-loss",
            "1000000000",
            "--accept-unknown-loss",
            "--scratch",
            place.primary.url(),
            *budgets,
        )
    return ("upgrade", *budgets)


def fall(place: Place, event: Callable[[Place], None]) -> tuple[str, list[Ran]]:
    """Start a run, let the event befall it, and go on until one has ended well; give what was run, and every end."""
    words = words_of(place)
    began = time.monotonic()
    run = place.run = forked.start(place.ini, *words, url=place.url)
    time.sleep(place.chance.uniform(0.05, 2.5))
    until((Path(run.directory.name) / "err").exists, "the command starts")
    event(place)
    ends = [ended(run, began, place)]
    while ends[-1].code != 0:
        assert len(ends) < 10, f"does not recover: {[(one.code, one.err) for one in ends]}"
        began = time.monotonic()
        ends.append(ended(forked.start(place.ini, *words, url=place.url), began, place))
    return " ".join(words[:2]) if words[0] == "downgrade" else "upgrade", ends


def ended(run: forked.Started, began: float, place: Place) -> Ran:
    """Wait for a run, and hold it to its budget and to the list of exit codes; where it hangs, tell what at."""
    try:
        ran = run.finish(WAIT + SLACK)
    except AssertionError as error:
        sessions = rows(
            place.primary.url(),
            "SELECT pid, application_name, state, now() - xact_start, wait_event_type, wait_event, "
            "pg_blocking_pids(pid), left(query, 200) FROM pg_stat_activity WHERE backend_type = 'client backend'",
        )
        raise AssertionError("\n".join([str(error), *map(str, sessions)])) from None
    took = time.monotonic() - began
    assert ran.code in ALLOWED, (ran.code, ran.err)
    assert "Traceback" not in ran.err, ran.err
    assert took < WAIT + SLACK, f"{took:.0f} s: {ran.err}"
    return ran


def check(place: Place, traffic: Traffic) -> None:
    """Hold the database to what it must be: every acknowledged row there, and what the revision makes, no more, no less."""
    url = place.primary.url()
    promised = set(traffic.written)
    lost = promised - {row[0] for row in rows(url, "SELECT n FROM ledger")}
    assert not lost, f"{len(lost)} rows lost: {sorted(lost)[:5]}"
    ((here,),) = rows(url, "SELECT version_num FROM alembic_version")
    at = NAMES.index(here)
    found = rows(
        url,
        "SELECT (SELECT count(*) FROM pg_attribute WHERE attrelid = 'ledger'::regclass AND attname = 'note'), "
        "(SELECT count(*) FROM pg_index WHERE indrelid = 'ledger'::regclass AND NOT indisprimary AND indisvalid), "
        "(SELECT count(*) FROM pg_index WHERE NOT indisvalid), "
        "(SELECT count(*) FROM pg_constraint WHERE conname = 'short'), "
        "(SELECT count(*) FROM pg_attribute WHERE attrelid = 'calm'::regclass AND attname = 'v'), "
        "obj_description('alembic_version'::regclass) IS NULL",
    )
    assert found == [(int(at >= 1), int(at >= 2), 0, int(at >= 4), int(at >= 5), True)], (here, found)


def soak(minutes: float, seed: int) -> int:
    """Let it all happen; print a line for each event and a last one for the whole."""
    chance = random.Random(seed)  # noqa: S311
    settings = {
        "wal_level": "replica",
        "max_connections": "40",
        "max_prepared_transactions": "5",
        # A standby that was away finds what it missed, however much was written, and replays little of it twice.
        "wal_keep_size": "32GB",
        "checkpoint_timeout": "60s",
    }
    tally: Counter[str] = Counter()
    codes_seen: Counter[int] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="airlock-soak-") as directory,
        cluster(**settings) as primary,
        standby_of(primary) as standby,
        Pooler(primary.url()).running() as pooler,
    ):
        ini = write_project(Path(directory), HISTORY)
        first = forked.start(ini, "upgrade", "s0", url=primary.url())
        assert first.finish().code == 0
        place = Place(primary, standby, pooler, ini, chance, first)
        traffic = Traffic([primary.url(), pooler.url])
        clients = [
            threading.Thread(target=traffic.run, args=(number,), daemon=True) for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            event = chance.choice(EVENTS)
            began = time.monotonic()
            words, ends = fall(place, event)
            codes = [one.code for one in ends]
            check(place, traffic)
            tally[event.__name__] += 1
            codes_seen.update(codes)
            what = (event.__doc__ or "").rstrip(".")
            print(
                f"{time.strftime('%H:%M:%S')}  {words:<13} {what}: {', '.join(map(str, codes))}"
                f"  ({time.monotonic() - began:.1f} s, {len(traffic.written)} rows written)",
                flush=True,
            )
            # Of the first the event tells; each further one is to be understood.
            for one in ends[1:-1]:
                print(f"          then {one.code}: {one.err.strip().splitlines()[-1]}", flush=True)
        traffic.over.set()
        for client in clients:
            client.join(30)
        check(place, traffic)
    print(
        f"Nothing lost: {sum(tally.values())} events of {len(tally)} kinds, {len(traffic.written)} rows acknowledged, all there; "
        f"exit codes {dict(sorted(codes_seen.items()))}; a client waited {traffic.longest:.1f} s at most; seed {seed}."
    )
    return 0


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Let migrations run beside traffic while things go wrong.")
    options.add_argument("--minutes", type=float, default=120)
    options.add_argument("--seed", type=int, default=int(time.time()))
    given = options.parse_args()
    try:
        sys.exit(soak(given.minutes, given.seed))
    except AssertionError as error:
        print(f"FAILED: {error} (seed {given.seed})", file=sys.stderr)
        sys.exit(1)
