"""Every command on a project as others have it, whatever versions and drivers this installation has.

`make floors` runs these once more with the lowest versions that pyproject.toml names, one driver at a time, and with
the newest ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airlock.installed.shop import write_shop
from tests.airlock.running import airlock, rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database


def plain(database: Database) -> str:
    """Spell its URL without a percent sign, which bare Alembic would not take through such an env.py either."""
    return database.url.replace("%2F", "/")


pytestmark = pytest.mark.proof


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return write_shop(tmp_path)


def test_a_database_goes_up_and_down(ini: Path, empty_database: Database) -> None:
    """Status, upgrade, status at head, downgrade with its count of losses, a revision ahead of the database."""
    url = plain(empty_database)
    assert "c3" in airlock(ini, "status", url=url, timeout=300).out
    ran = airlock(ini, "upgrade", url=url, timeout=300)
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT version_num FROM alembic_version") == [("c3",)]
    rows(url, "INSERT INTO customer (name, mail) VALUES ('Ada', 'a@b')")
    refused = airlock(ini, "downgrade", "b2", url=url, timeout=300)
    assert refused.code == 1, refused.err
    assert "customer.mail" in refused.err
    assert airlock(ini, "upgrade", "--dry-run", url=url, timeout=300).code == 0
    rows(url, "DELETE FROM customer")
    ran = airlock(ini, "downgrade", "base", url=url, timeout=300)
    assert ran.code == 0, ran.err
    assert rows(url, "SELECT to_regclass('customer')::text, to_regclass('orders')::text") == [(None, None)]


def test_a_transaction_that_env_py_holds_is_left_once_a_revision(ini: Path, empty_database: Database) -> None:
    """With `engine.begin()` in env.py each revision is committed for itself all the same: by what SQLAlchemy keeps private."""
    env = ini.parent / "migrations/env.py"
    text = env.read_text()
    assert ".connect() as connection" in text
    env.write_text(text.replace(".connect() as connection", ".begin() as connection"))
    versions = ini.parent / "migrations/versions"
    for name, below, up in (
        ("d4", "c3", 'op.execute("CREATE TABLE seen AS SELECT 4 AS number")'),
        ("e5", "d4", 'op.execute("INSERT INTO seen VALUES (5)")'),
        ("f6", "e5", 'op.execute("INSERT INTO seen VALUES (6)")'),
        ("g7", "f6", 'op.execute("SELECT 1 / 0")'),
    ):
        (versions / f"{name}.py").write_text(
            f'"""Step"""\nfrom alembic import op\nrevision, down_revision = "{name}", "{below}"\n'
            f"def upgrade():\n    {up}\ndef downgrade():\n    pass\n"
        )
    url = plain(empty_database)
    assert airlock(ini, "upgrade", url=url, timeout=300).code == 40
    assert rows(url, "SELECT version_num FROM alembic_version") == [("f6",)]
    assert rows(url, "SELECT count(DISTINCT xmin::text) FROM seen") == [(3,)]


def test_a_revision_that_fails_is_undone(ini: Path, empty_database: Database) -> None:
    """One line, exit code 40, the database at the last good revision."""
    (ini.parent / "migrations/versions/d4.py").write_text(
        '"""Break"""\nfrom alembic import op\nrevision, down_revision = "d4", "c3"\n'
        'def upgrade():\n    op.execute("SELECT 1 / 0")\ndef downgrade():\n    pass\n'
    )
    ran = airlock(ini, "upgrade", url=plain(empty_database), timeout=300)
    assert ran.code == 40, ran.err
    assert "division by zero" in ran.error
    assert rows(plain(empty_database), "SELECT version_num FROM alembic_version") == [("c3",)]


def test_statements_are_traced(ini: Path) -> None:
    """Locks, scans and dangers, seen in scratch."""
    ran = airlock(ini, "trace", url=None, timeout=300)
    assert ran.code == 0, ran.err
    assert "DANGEROUS UPDATE customer SET mail" in ran.out
    assert "SHARE ROW EXCLUSIVE on public.customer" in ran.out


def test_downgrades_are_proved(ini: Path) -> None:
    """With sample rows, between catalogues that are read before and after."""
    ran = airlock(ini, "drill", "--rows", "20", url=None, timeout=300)
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.count("proved") == 4
    assert "not examined" not in ran.out


def test_traffic_and_crashes_are_drilled(ini: Path) -> None:
    """Clients of the older release work while each step runs; each step is cut at every statement."""
    ran = airlock(ini, "drill", "b2:c3", "--rows", "50", "--traffic", "2", url=None, timeout=300)
    assert ran.code in {0, 1}, ran.out + ran.err
    assert "c3" in ran.out
    ran = airlock(ini, "drill", "b2:c3", "--rows", "50", "--crash", url=None, timeout=300)
    assert ran.code == 0, ran.out + ran.err


def test_the_history_is_checked_against_the_models(ini: Path) -> None:
    """The models and the history agree; the two scans under ACCESS EXCLUSIVE are found."""
    ran = airlock(ini, "check", url=None, timeout=300)
    assert ran.code == 1, ran.out + ran.err
    assert ran.out.count("danger: ") == 2
    assert "not examined" not in ran.out, ran.out
    assert "models" not in ran.out, ran.out
    # What they differ by already is listed with the revisions of today, and not told again.
    models, known = ini.parent / "models.py", ini.parent / "known.txt"
    models.write_text(
        models.read_text().replace("    name = sa", "    title = sa.Column(sa.Text)\n    name = sa")
    )
    ran = airlock(ini, "check", "--write-baseline", str(known), url=None, timeout=300)
    # One line a difference: the steps that lead there are `revision`'s business.
    assert "3 revisions and 1 difference from the models written" in ran.out, ran.out + ran.err
    assert airlock(ini, "check", "--baseline", str(known), url=None, timeout=300).code == 0
    known.write_text("".join(line for line in known.read_text().splitlines(True) if "title" not in line))
    ran = airlock(ini, "check", "--baseline", str(known), url=None, timeout=300)
    assert ran.out.count("models: ") == 1, ran.out
    assert "models: public.customer.title: column" in ran.out, ran.out


def test_a_revision_is_written(ini: Path) -> None:
    """From what changed in the models, in the form that blocks nobody."""
    models = ini.parent / "models.py"
    models.write_text(
        models.read_text() + '    note = sa.Column(sa.Text)\n    sa.Index("note_first", note)\n'
    )
    ran = airlock(ini, "revision", "-m", "Add orders.note", url=None, timeout=300)
    assert ran.code == 0, ran.out + ran.err
    written = "".join(path.read_text() for path in (ini.parent / "migrations/versions").glob("*.py"))
    assert "CONCURRENTLY" in written or "postgresql_concurrently" in written


def test_a_bundle_is_written(ini: Path, tmp_path: Path) -> None:
    """What a DBA approves from, SQL included."""
    ran = airlock(ini, "review", "b2:c3", "--out", str(tmp_path / "bundle"), url=None, timeout=300)
    assert ran.code in {0, 1}, ran.out + ran.err
    assert "ADD COLUMN mail" in (tmp_path / "bundle" / "review.md").read_text()
