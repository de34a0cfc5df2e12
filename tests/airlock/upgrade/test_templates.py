"""Projects as `alembic init` leaves them, their placeholder of a URL included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alembic import command as alembic
from alembic.config import Config

from tests.airlock import forked
from tests.airlock.running import airlock, rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

pytestmark = pytest.mark.proof

REVISION = """
from alembic import op

revision, down_revision = "a1", None

def upgrade():
    op.execute("CREATE TABLE item (id integer PRIMARY KEY)")

def downgrade():
    op.execute("DROP TABLE item")
"""


@pytest.mark.parametrize("template", ["generic", "async", "pyproject"])
def test_what_init_has_written_runs_as_it_is(template: str, tmp_path: Path, empty_database: Database) -> None:
    """Given a URL, every command works before anybody has edited the ini, or with SQLite in it; the ini is left as it was."""
    ini = tmp_path / "alembic.ini"
    toml = tmp_path / "pyproject.toml"
    config = Config(str(ini), toml_file=str(toml) if template == "pyproject" else None)
    alembic.init(config, str(tmp_path / "migrations"), template=template)
    written = ini.read_text()
    assert "driver://" in written
    if template == "async":
        written = written.replace("driver://user:pass@localhost/dbname", "sqlite+aiosqlite:///app.db")
        ini.write_text(written)
    (tmp_path / "migrations" / "versions" / "a1.py").write_text(REVISION)
    given = toml if template == "pyproject" else ini
    for words, code in (
        (("upgrade",), 0),
        (("status",), 0),
        (("drill", "--rows", "5"), 0),
        (("trace",), 0),
        (("downgrade", "base"), 0),
        (("upgrade", "--dry-run"), 0),
    ):
        url = empty_database.url if words[0] in {"upgrade", "downgrade", "status"} else None
        ran = (forked.airlock if url else airlock)(given, *words, url=url)
        assert ran.code == code, (words, ran.err)
    assert rows(empty_database.url, "SELECT to_regclass('item')::text") == [(None,)]
    assert ini.read_text() == written
