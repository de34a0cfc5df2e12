"""What the wheel holds, and what it says of itself."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.history import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return directory


def test_the_wheel_holds_airlock_alone(built: Path) -> None:
    """No application, no test, no history; every module, and the mark that it is typed."""
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"airlock"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "airlock").rglob("*.py")}
    assert modules | {"airlock/py.typed"} <= set(names)


def test_the_wheel_tells_what_it_needs(built: Path) -> None:
    """Licence, classifiers, floors, and a driver only for whoever asks for one."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
        assert any(one.endswith("licenses/LICENSE") for one in archive.namelist())
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    needed = metadata.get_all("Requires-Dist") or []
    assert {one for one in needed if "extra ==" not in one} == {
        "alembic>=1.13.0", "sqlalchemy>=2.0.30", "tomli>=2.0.1; python_version < '3.11'",
    }  # fmt: skip
    assert {"psycopg2", "psycopg", "asyncpg", "embedded"} <= set(metadata.get_all("Provides-Extra") or [])
    assert len(metadata.get_all("Classifier") or []) > 10
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_the_sdist_can_be_built_from(built: Path) -> None:
    """It holds the sources and what pyproject.toml names, and no test."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "airlock/cli.py"} <= names
    assert not any(name.startswith(("app/", "tests/", "alembic/")) for name in names)
