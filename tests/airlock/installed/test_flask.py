"""Flask-Migrate as it is installed: an ini that names no scripts, an env.py inside the application."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airlock.project import place
from tests.airlock.installed.shop import write_shop
from tests.airlock.running import AIRLOCK, Ran, environment, rows

if TYPE_CHECKING:
    from tests.servers import Database

# From the registry that the lock file's own packages come from; the rest of what they need is there.
FLASK = (
    "Flask==3.1.2", "Flask-SQLAlchemy==3.1.1", "Flask-Migrate==4.1.0", "itsdangerous==2.2.0", "blinker==1.9.0",
    "Jinja2==3.1.6", "python-dotenv==1.1.1",
)  # fmt: skip
APP = """\
import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))


def create_app():
    app = Flask(__name__)
    url = os.environ.get("DATABASE_URL", "postgresql://nobody@nowhere.invalid/none")
    app.config["SQLALCHEMY_DATABASE_URI"] = url.replace("postgresql:", "postgresql+psycopg2:")
    db.init_app(app)
    Migrate(app, db)
    return app
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("flask")
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(target), *FLASK],
        check=True, timeout=120,
    )  # fmt: skip
    return target


def run(root: Path, installed: Path, *words: str, url: str | None, program: tuple[str, ...] = ()) -> Ran:
    environ = environment(url, PYTHONPATH=str(installed))
    done = subprocess.run(
        [*(program or AIRLOCK), *words],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.proof
def test_flask_migrate_is_run_as_flask_db_runs_it(
    installed: Path, tmp_path: Path, empty_database: Database
) -> None:
    """From the application's directory, without -c: goes up, stands, is proved, and is told what it lacks."""
    url = empty_database.url.replace("%2F", "/")
    (tmp_path / "app.py").write_text(APP)
    flask = (sys.executable, "-m", "flask")
    for words in (("db", "init"), ("db", "migrate", "-m", "first")):
        ran = run(tmp_path, installed, *words, url=url, program=flask)
        assert ran.code == 0, ran.err
    ran = run(tmp_path, installed, "upgrade", url=url)
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT to_regclass('item')::text") == [("item",)]
    ran = run(tmp_path, installed, "status", url=url)
    assert "none: the catalogue is what the history makes" in ran.out, ran.out + ran.err
    ran = run(tmp_path, installed, "drill", "--rows", "10", url=None)
    assert (ran.code, "proved: 1 revision" in ran.out) == (0, True), ran.out + ran.err
    assert "inside the Flask application" in run(tmp_path, installed, "init", url=None).out
    assert (tmp_path / "airlock.toml").is_file()
    ran = run(tmp_path, installed, "upgrade", "base:head", "--sql", url=None)
    assert "CREATE TABLE item" in ran.out, ran.err
    (tmp_path / "app.py").unlink()
    # One that migrates its database as it starts, which is airlock's business here.
    itself = "    Migrate(app, db)\n    with app.app_context():\n        upgrade()\n"
    app = APP.replace("    Migrate(app, db)\n", itself).replace("import Migrate", "import Migrate, upgrade")
    (tmp_path / "shop.py").write_text(app)
    ran = run(tmp_path, installed, "upgrade", url=url)
    assert ran.code == 2, ran.err
    assert "env.py asks for the Flask application, which is not found" in ran.error
    assert "--env FLASK_APP=" in ran.error
    ran = run(tmp_path, installed, "upgrade", "--env", "FLASK_APP=shop:create_app", url=url)
    assert ran.code == 0, ran.err
    ran = run(tmp_path, installed, "drill", "--rows", "10", "--env", "FLASK_APP=shop:create_app", url=None)
    assert "proved: 1 revision" in ran.out, ran.out + ran.err


def test_paths_count_from_where_the_scripts_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the ini, as ever; from where one stands, as Alembic has it; above Flask-Migrate's own directory."""
    ini = write_shop(tmp_path)
    monkeypatch.chdir("/")
    assert place.working_directory(ini) == tmp_path
    (tmp_path / "deploy").mkdir()
    moved = ini.rename(tmp_path / "deploy/alembic.ini")
    monkeypatch.chdir(tmp_path)
    assert place.working_directory(Path("deploy/alembic.ini")) == tmp_path
    assert place.configuration(tmp_path) == tmp_path / "alembic.ini"
    text = moved.read_text().replace("script_location = migrations\n", "")
    (tmp_path / "migrations/alembic.ini").write_text(text)
    monkeypatch.chdir("/")
    assert place.configuration(tmp_path) == tmp_path / "migrations/alembic.ini"
    assert place.working_directory(tmp_path / "migrations/alembic.ini") == tmp_path
