"""Fixtures of the whole suite: one server per session, one database per test, made from a migrated template."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session

from airlock.scratch import embedded
from app import database as app_database
from app.settings import Settings
from tests import servers
from tests.history import History
from tests.servers import Database, Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# Nothing of the developer's own environment reaches a test.
for variable in ("DATABASE_URL", "DATABASE_URL_UNPOOLED", "JWT_SECRET"):
    os.environ.pop(variable, None)
for variable in [name for name in os.environ if name.startswith("PG")]:
    del os.environ[variable]

# Embedded servers in memory where there is enough of it: no test waits for a disk.
MEMORY = Path("/dev/shm")  # noqa: S108  (the directory is made by mkdtemp)
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("AIRLOCK_SCRATCH_DIRECTORY", str(MEMORY))

# What airlock promises to work on; the pipeline has them all, a developer's machine need not.
MAJORS = frozenset({14, 15, 16, 17, 18})
# Whose cases take up to a minute: begun first, so that no worker is left alone with one at the end.
LONG = (
    "revision/test_matrix.py", "scratch/test_variable_matrix.py", "upgrade/test_crashes.py", "catalogue/test_kinds.py",
    "drill/test_any_order.py", "drill/test_conditions.py", "drill/test_rarer_rows.py", "drill/test_reach.py",
    "drill/test_traffic_and_crashes.py", "system/test_extension_types.py", "api/test_rolling.py",
)  # fmt: skip
NOT_RUN = pytest.StashKey[list[str]]()
CHOICE = pytest.StashKey[servers.Choice]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the provider once; xdist's workers are told."""
    try:
        choice = servers.choose(os.environ.get("TEST_DATABASE", "auto"))
    except servers.ProviderError as error:
        raise pytest.UsageError(str(error)) from None
    missing = MAJORS - embedded.available().keys()
    if missing and os.environ.get("TEST_NO_SKIPS"):
        raise pytest.UsageError(
            f"PostgreSQL {', '.join(map(str, sorted(missing)))} is missing: make servers, apt-get install postgresql"
        )
    os.environ["TEST_DATABASE"] = choice.provider
    config.stash[CHOICE] = choice


def pytest_report_header(config: pytest.Config) -> str:
    """Say where the databases are, and why."""
    return f"databases: {config.stash[CHOICE]}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what is long first. Take out what needs a Citus cluster where none is named: no server here can stand in for one."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONG))
    if os.environ.get("CITUS_URL"):
        return
    without = [item for item in items if item.get_closest_marker("citus")]
    if without:
        items[:] = [item for item in items if item not in without]
        config.hook.pytest_deselected(items=without)
        config.stash[NOT_RUN] = [item.nodeid for item in without]
        if hasattr(config, "workeroutput"):
            config.workeroutput["not_run"] = config.stash[NOT_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Hear from a worker of xdist what it took out; each takes out the same."""
    node.config.stash[NOT_RUN] = getattr(node, "workeroutput", {}).get("not_run", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was not run."""
    for name in config.stash.get(NOT_RUN, []):
        terminalreporter.write_line(f"not run, CITUS_URL names no coordinator: {name}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that skipped anything where TEST_NO_SKIPS is set, as in the pipeline."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("TEST_NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve PostgreSQL for the whole session."""
    with servers.serve(request.config.stash[CHOICE]) as started:
        yield started


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """Migrate one database to head; every `database` is a copy of it."""
    with server.database() as made:
        History(made).upgrade()
        yield made.name


@pytest.fixture
def database(server: Server, template: str) -> Iterator[Database]:
    """Make a database of one's own, at head."""
    with server.database(template) as made:
        yield made


@pytest.fixture
def empty_database(server: Server) -> Iterator[Database]:
    """Make a database of one's own with nothing in it."""
    with server.database("template0") as made:
        yield made


@pytest.fixture
def history(database: Database) -> History:
    """Run the history on a database that is at head."""
    return History(database)


@pytest.fixture
def settings(database: Database) -> Settings:
    """Give the application's settings for the database of this test."""
    return Settings.model_validate({"database_url": database.url, "jwt_secret": "x" * 32})


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    """Give the application's synchronous engine on the database of this test."""
    made = app_database.make_engine(settings)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: sa.Engine) -> Iterator[Session]:
    """Open a session on the database of this test; what is not committed is rolled back."""
    with Session(engine, expire_on_commit=False) as opened:
        yield opened


@pytest.fixture
async def async_engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Give the application's asynchronous engine on the database of this test."""
    made = app_database.make_async_engine(settings)
    yield made
    await made.dispose()
