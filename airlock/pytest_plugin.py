"""A pytest plugin: `pytest --airlock` collects one test per revision, "rollback of 3f2a… is proved".

Inert without `--airlock`. The tests that were selected are drilled once in a run, however many of pytest-xdist's
workers share them: the first that needs a verdict drills and writes all of them down, the others wait for the file.
No database but a scratch one is contacted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airlock import api
from airlock.project.place import configuration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airlock.project.project import RevisionFacts

MARKER = "airlock"
# Where the workers of one run find what the first of them has learnt; they inherit it from the controller.
_DIRECTORY = "AIRLOCK_PYTEST_DIRECTORY"
_OWNED = pytest.StashKey[Path]()


class NotProved(Exception):
    """A revision's rollback is refused or was not examined; the text says why, and shows the differences."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What is drilled and how: the ini, what env.py gets as `-x`, the scratch server, the rows of each table."""

    ini: Path
    x_arguments: tuple[str, ...]
    scratch: str
    rows: int


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the one switch and the settings."""
    group = parser.getgroup("airlock", "rollbacks of Alembic revisions")
    group.addoption(
        "--airlock", action="store_true", help="collect one test per revision: its rollback is proved"
    )
    parser.addini(
        "airlock_config",
        "Alembic's ini or pyproject.toml, from the rootdir (else as `airlock` finds it)",
        default="",
    )
    parser.addini("airlock_x", "KEY=VALUE passed to env.py, one a line", type="linelist", default=[])
    parser.addini(
        "airlock_scratch",
        "where scratch databases are made: embedded, container or a URL",
        default="embedded",
    )
    parser.addini("airlock_rows", "sample rows in every table while drilling", default=str(api.DRILL_ROWS))


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; where asked for, have the ini collected beside what else was named."""
    config.addinivalue_line("markers", f"{MARKER}: the rollback of an Alembic revision, drilled by airlock")
    if not config.getoption("airlock"):
        return
    ini = _settings(config).ini
    if not ini.is_file():
        raise pytest.UsageError(f"airlock_config: {ini} is not there.")
    named = [Path(argument.partition("::")[0]).absolute() for argument in config.args]
    if not any(ini == path or (path.is_dir() and ini.is_relative_to(path)) for path in named):
        config.args.append(str(ini))
    if not hasattr(config, "workerinput") or _DIRECTORY not in os.environ:
        config.stash[_OWNED] = Path(tempfile.mkdtemp(prefix="airlock-pytest-"))
        os.environ[_DIRECTORY] = str(config.stash[_OWNED])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the run has written down."""
    owned = config.stash.get(_OWNED, None)
    if owned is not None:
        os.environ.pop(_DIRECTORY, None)
        shutil.rmtree(owned, ignore_errors=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the configured ini, and no other file."""
    if not parent.config.getoption("airlock") or file_path != _settings(parent.config).ini:
        return None
    history: pytest.Collector = History.from_parent(parent, path=file_path)
    return history


class History(pytest.File):
    """An Alembic history: a test per revision, from the first to the last."""

    def collect(self) -> Iterable[pytest.Item]:
        """Read the revision files; contacts nothing. Raises CollectError with airlock's one line."""
        from airlock.records.errors import AirlockError
        from airlock.scratch.loading import opened

        settings = _settings(self.config)
        try:
            with api.standing_at(settings.ini) as path:
                revisions = opened(path, settings.x_arguments).revisions()
        except AirlockError as error:
            raise self.CollectError(f"airlock: {error}") from error
        for facts in revisions:
            item: pytest.Item = Rollback.from_parent(
                self, name=f"rollback of {facts.revision} is proved", facts=facts
            )
            yield item


class Rollback(pytest.Item):
    """One revision's rollback."""

    def __init__(self, *, facts: RevisionFacts, **more: Any) -> None:
        super().__init__(**more)
        self.facts = facts
        self.add_marker(MARKER)

    def runtest(self) -> None:
        """Fail unless this revision's rollback is proved. The first test of a run drills them all."""
        verdict, said = _verdicts(self)[self.facts.revision]
        if verdict != "proved":
            first = said[0].removeprefix(f"{verdict}: ") if said else ""
            raise NotProved("\n".join((f"{verdict}: {first}" if said else verdict, *said[1:])))
        if said:
            self.add_report_section("call", "airlock", "\n".join(said))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the verdict and its differences, or airlock's error as its one line."""
        if isinstance(excinfo.value, NotProved):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the test by its revision and title."""
        return self.path, None, f"{self.name} ({self.facts.title})"


def _settings(config: pytest.Config) -> Settings:
    rows = str(config.getini("airlock_rows"))
    if not rows.isdecimal() or not int(rows):
        raise pytest.UsageError(f"airlock_rows: {rows!r} is no whole number from 1 up.")
    named = str(config.getini("airlock_config"))
    return Settings(
        config.rootpath / named if named else configuration(config.rootpath), tuple(config.getini("airlock_x")),
        str(config.getini("airlock_scratch")), int(rows),
    )  # fmt: skip


def _verdicts(item: Rollback) -> dict[str, tuple[str, list[str]]]:
    """Give verdict and lines of each selected revision: from the run's file, which the first who comes writes."""
    directory = Path(os.environ[_DIRECTORY])
    written = directory / "verdicts.json"
    with (directory / "lock").open("w") as lock:
        # Released with the file, also by a worker that dies.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not written.exists():
            selected = [one.facts for one in item.session.items if isinstance(one, Rollback)]
            partial = directory / "partial.json"
            partial.write_text(json.dumps(_drilled(_settings(item.config), selected)))
            partial.replace(written)
        found = json.loads(written.read_text())
    if "error" in found:
        raise NotProved(f"airlock: {found['error']}")
    verdicts: dict[str, tuple[str, list[str]]] = found
    return verdicts


def _drilled(settings: Settings, selected: list[RevisionFacts]) -> dict[str, Any]:
    from airlock.records.errors import AirlockError
    from airlock.records.secrets import scrub
    from airlock.reports.drill import details

    try:
        report = api.drill(
            settings.ini, revisions=_range(settings, selected), scratch=settings.scratch, rows=settings.rows,
            x_arguments=settings.x_arguments,
        )  # fmt: skip
    except AirlockError as error:
        return {"error": scrub(str(error))}
    return {
        proof.revision: (proof.verdict, [scrub(line) for line in details(proof)])
        for proof in report.revisions
    }


def _range(settings: Settings, selected: list[RevisionFacts]) -> str | None:
    """Name the shortest range that holds what was selected, None for the whole history."""
    from airlock.records.errors import AirlockError
    from airlock.scratch.loading import opened

    first, last = selected[0], selected[-1]
    if len(first.down_revisions) > 1:
        return None
    named = f"{first.down_revisions[0] if first.down_revisions else 'base'}:{last.revision}"
    with api.standing_at(settings.ini) as path, contextlib.suppress(AirlockError):
        held = {one.revision for one in opened(path, settings.x_arguments).revisions(named)}
        # Beside a branch the range may leave one out: then all are drilled.
        if held.issuperset(one.revision for one in selected):
            return named
    return None
