"""The Makefile and its script: what the first command of a new developer, and of a pipeline, meets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from dotenv import dotenv_values

from tests.history import ROOT, revisions

if TYPE_CHECKING:
    from collections.abc import Iterator

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A checkout whose .venv is this one."""
    for name in ("app", "alembic", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "alembic.ini", ".env.example", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    yield tmp_path
    target = tmp_path / ".postgres" / "target"
    if target.exists():
        make(tmp_path, "stop")
        # As root the data is in a directory of its own in the temporary directory.
        shutil.rmtree(Path(target.read_text().splitlines()[1]).parents[1], ignore_errors=True)


def run(checkout: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    hidden = {
        "CI",
        "KUBERNETES_SERVICE_HOST",
        "DATABASE_URL",
        "DATABASE_URL_UNPOOLED",
        "MAKEFLAGS",
        "MAKELEVEL",
    }
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        list(command), cwd=checkout, env={**inherited, **environment}, text=True, capture_output=True, check=False,
        stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


def make(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make as if .venv had been built."""
    return run(checkout, "make", "--old-file=.venv/ready", *arguments, **environment)


def test_every_target_is_phony_right_above_and_says_what_it_does() -> None:
    for target in TARGETS:
        assert re.search(rf"^\.PHONY: {target}\n{target}:.*  ## \S", MAKEFILE, re.MULTILINE), target


def test_make_alone_prints_every_target(checkout: Path) -> None:
    printed = make(checkout).stdout
    assert [target for target in TARGETS if f"make {target} " not in printed] == []


def test_every_target_needs_the_environment() -> None:
    """Whatever is used first builds .venv."""
    for target in set(TARGETS) - {"ci"}:
        assert re.search(rf"^{target}:.*\.venv/ready", MAKEFILE, re.MULTILINE), target


def test_an_installed_environment_is_not_installed_again(checkout: Path) -> None:
    (checkout / ".venv").unlink()
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "ready").touch()
    done = run(checkout, "make", "--dry-run", "test")
    assert (done.returncode, "pip" in done.stdout) == (0, False)
    os.utime(checkout / ".venv" / "ready", (0, 0))
    assert "pip install" in run(checkout, "make", "--dry-run", "test").stdout


def test_make_env_writes_a_secret_that_only_the_owner_reads_and_never_overwrites(checkout: Path) -> None:
    assert make(checkout, "env").returncode == 0
    first = (checkout / ".env").read_text()
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    values = dotenv_values(checkout / ".env")
    assert len(values["JWT_SECRET"] or "") >= 32
    assert set(values) == {"JWT_SECRET"}
    second = make(checkout, "env")
    assert second.returncode != 0
    assert "left as it is" in second.stderr
    assert (checkout / ".env").read_text() == first


@pytest.mark.parametrize(
    "line",
    [
        "DATABASE_URL=postgresql://u:p@h/db?a=b&c=d",
        "DATABASE_URL='postgresql://u:p#1@h/db'  # here",
        'export DATABASE_URL = "postgresql://u:p#1@h/db"',
        "  DATABASE_URL=postgresql://u:p#1@h/db # there  ",
        "DATABASE_URL=first\nDATABASE_URL=second",
        "#DATABASE_URL=no\nOTHER_DATABASE_URL=no\nDATABASE_URL=yes",
        "DATABASE_URL_UNPOOLED=direct\nDATABASE_URL=",
        "\ufeffDATABASE_URL=marked\r\nDATABASE_URL_UNPOOLED=there\r",
    ],
)
def test_the_script_reads_dotenv_as_the_application_does(checkout: Path, line: str) -> None:
    (checkout / ".env").write_text(line + "\n")
    told = run(checkout, "scripts/with-database", "sh", "-c", 'echo "$DATABASE_URL|$DATABASE_URL_UNPOOLED"')
    values = dotenv_values(checkout / ".env")
    assert told.stdout == f"{values.get('DATABASE_URL') or ''}|{values.get('DATABASE_URL_UNPOOLED') or ''}\n"
    assert told.stderr == ""


def test_the_environment_wins_over_dotenv(checkout: Path) -> None:
    (checkout / ".env").write_text("DATABASE_URL_UNPOOLED=file\n")
    told = run(checkout, "scripts/with-database", "sh", "-c", 'echo "$DATABASE_URL|$DATABASE_URL_UNPOOLED"',
               DATABASE_URL="environment")  # fmt: skip
    assert told.stdout == "environment|\n"


@pytest.mark.parametrize("where", ["CI", "KUBERNETES_SERVICE_HOST"])
def test_in_a_pipeline_nothing_is_started(checkout: Path, where: str) -> None:
    """Without a URL: one line that says so, and failure."""
    done = make(checkout, "migrate", **{where: "1"})
    assert done.returncode == 2
    assert [
        line for line in done.stderr.splitlines() if "DATABASE_URL" in line and not line.startswith("make")
    ]
    assert not (checkout / ".postgres").exists()


@pytest.mark.proof
def test_make_migrate_starts_a_server_of_its_own_and_says_so(checkout: Path) -> None:
    """The first time it starts and migrates, the second time it finds both done; rollback leads back."""
    first = make(checkout, "migrate")
    assert first.returncode == 0, first.stderr
    last = first.stderr.splitlines()[-1]
    assert last.startswith("Database: embedded PostgreSQL ")
    url = last.split("'")[1]
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_num FROM phase2.alembic_version")
        assert cursor.fetchall() == [(revisions()[-1],)]
    second = make(checkout, "migrate")
    assert (second.returncode, second.stderr.splitlines()[-1]) == (0, last)
    assert make(checkout, "rollback", "TO=base").returncode == 0
    assert run(checkout, "scripts/with-database", "sh", "-c", "exit 41").returncode == 41
    assert make(checkout, "stop").returncode == 0
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)


def test_every_command_takes_options() -> None:
    """ARGS is handed on by each target that runs airlock: a rename is said with it, a rollback accepted."""
    commands = re.findall(r"^\t@.*\bairlock [a-z]+ ?.*$", MAKEFILE, re.MULTILINE)
    assert len(commands) > 9
    assert [one for one in commands if not one.endswith(" $(ARGS)") and "app.api" not in one] == []


@pytest.mark.parametrize("target", ["rollback", "revision"])
def test_a_target_that_needs_an_argument_says_which(checkout: Path, target: str) -> None:
    done = make(checkout, target)
    assert done.returncode == 2
    assert done.stderr.startswith(f"make {target}: say ")


@pytest.mark.proof
def test_make_sql_asks_no_database(checkout: Path) -> None:
    done = make(checkout, "sql", CI="1")
    assert done.returncode == 0
    assert done.stdout.startswith("CREATE SCHEMA IF NOT EXISTS phase2;")


def test_the_lock_pins_every_requirement_with_hashes_and_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    requirements = re.split(r"\n(?=\S)", lock.strip())
    assert len(requirements) > 50
    for requirement in requirements:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement
    assert "://" not in lock
