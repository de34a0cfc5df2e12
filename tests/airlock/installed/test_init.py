"""`airlock init` looks at a project; house rules, baselines and extensions follow what it and the file say."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock import cli
from airlock.scratch import embedded, installations
from tests.airlock.installed.shop import write_shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ini = write_shop(tmp_path)
    monkeypatch.chdir(tmp_path)
    return ini


def test_what_is_found_is_said_and_written_once(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kind of env.py, driver, heads; a section that the next command reads; what is there stays."""
    assert cli.main(["init", "--dry-run"]) == 0
    assert not Path("airlock.toml").exists()
    assert "not read" not in capsys.readouterr().out
    # Left out, as squashed revisions are; and seen from elsewhere.
    squashed = shop.parent / "migrations/versions/squashed/old.py"
    squashed.parent.mkdir()
    squashed.write_text('revision = "old"\ndown_revision = None\n')
    env = shop.parent / "migrations/env.py"
    env.write_text('"""Leads to databases."""\n' + env.read_text() + "# load_dotenv()\n")
    monkeypatch.chdir(shop.parent.parent)
    assert cli.main(["-c", str(shop), "init", "--dry-run"]) == 0
    elsewhere = capsys.readouterr().out
    assert f"1 more in {shop.parent.name}/migrations/versions/squashed" in elsewhere
    assert f"{shop.parent.name}/airlock.toml" in elsewhere
    assert "dotenv" not in elsewhere
    assert "several databases" not in elsewhere
    assert cli.main(["init"]) == 0
    said = capsys.readouterr().out
    for words in ("synchronous, hands its URL to the ini, sets up logging", "psycopg2", "c3", "airlock.toml"):
        assert words in said
    text = Path("airlock.toml").read_text()
    assert 'since = "c3"' in text
    assert cli.main(["init"]) == 0
    said = capsys.readouterr().out
    assert "there are settings already" in said
    assert "judges every revision" not in said
    assert Path("airlock.toml").read_text() == text
    # Settings that somebody had to write before, for the project to be read at all.
    Path("airlock.toml").write_text('scratch = "embedded"\n')
    assert cli.main(["init"]) == 0
    assert 'judges every revision; new ones alone with since = "c3"' in capsys.readouterr().out
    (shop.parent / "migrations/versions/z9.py").write_text('revision, down_revision = "z9", None\n')
    Path("airlock.toml").unlink()
    assert cli.main(["init"]) == 0
    assert "--write-baseline FILE" in capsys.readouterr().out


def test_a_pyproject_gets_a_section(shop: Path) -> None:
    """Behind what is there."""
    Path("pyproject.toml").write_text('[project]\nname = "x"\n')
    assert cli.main(["init"]) == 0
    assert Path("pyproject.toml").read_text().startswith('[project]\nname = "x"\n\n[tool.airlock]\n')
    assert not Path("airlock.toml").exists()


def test_only_what_is_new_is_judged(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind a baseline the old revisions are left alone, one that changed is not; `since` is the same by name."""
    rules = "rules = { docstring = true, models = false, danger = false, proof = false }\n"
    Path("airlock.toml").write_text(rules)
    assert cli.main(["check", "--baseline", "known.txt"]) == 2
    assert "airlock check --write-baseline known.txt" in capsys.readouterr().err
    assert cli.main(["check", "--write-baseline", "known.txt"]) == 0
    capsys.readouterr()
    assert cli.main(["check"]) == 1
    assert capsys.readouterr().out.count("docstring:") == 9
    assert cli.main(["check", "--baseline", "known.txt"]) == 0
    # What no revision was asked for is not said to be shown.
    assert capsys.readouterr().out.startswith(
        "proved: no new revision (3 revisions known before): one head, in"
    )
    changed = shop.parent / "migrations/versions/b2.py"
    changed.write_text(changed.read_text() + "\n# changed\n")
    assert cli.main(["check", "--baseline", "known.txt"]) == 1
    assert capsys.readouterr().out.count("b2.py:1: docstring:") == 3
    assert cli.main(["check", "--since", "b2"]) == 1
    assert capsys.readouterr().out.count("c3.py:1: docstring:") == 3
    Path("airlock.toml").write_text(
        rules + 'since = "b2"\n[accepted.c3]\ndocstring = "from before the house"\n'
    )
    assert cli.main(["check"]) == 0
    assert "excused: c3 docstring: from before the house" in capsys.readouterr().out
    assert cli.main(["check", "--since", "zz"]) == 2
    assert "since names no revision" in capsys.readouterr().err


def test_what_a_history_creates_is_read(shop: Path) -> None:
    """In whatever quotes, from Python and from SQL files beside."""
    versions = shop.parent / "migrations/versions"
    (versions / "d4.sql").write_text(
        'create extension "uuid-ossp";\nCREATE EXTENSION IF NOT EXISTS Btree_Gin'
    )
    (versions / "e5.py").write_text("op.execute('CREATE EXTENSION IF NOT EXISTS \\'postgis\\'')")
    # An environment beside scripts that stand in the project's root is no part of them, whatever it is called.
    for place, mark in [("env", "pyvenv.cfg"), (".tox", "a"), ("web/node_modules", "b")]:
        (versions / place / "lib").mkdir(parents=True)
        (versions / place / mark).touch()
        (versions / place / "lib" / "vector.py").write_text("CREATE EXTENSION vector")
    assert installations.asked_for([versions]) == {"uuid-ossp", "btree_gin", "postgis"}


@pytest.mark.parametrize(
    ("text", "icu"),
    [
        ("op.execute(\"CREATE COLLATION a (provider = icu, locale = 'und')\")", True),
        ("op.execute('CREATE COLLATION a (PROVIDER=\\'icu\\')')", True),
        ("sa.String(collation='de-x-icu')", True),
        ("options = {'provider': 'icu'}", True),
        ("op.execute('CREATE COLLATION a (provider = libc)'); sa.Column('icu_unit', sa.String)", False),
    ],
)
def test_a_history_that_names_icu_asks_for_it(tmp_path: Path, text: str, icu: bool) -> None:
    """However a collation of ICU's is named, in whichever file; a column that is called so is none."""
    (tmp_path / "none").mkdir()
    (tmp_path / "a1.py").write_text(text)
    (tmp_path / "b2.py").touch()
    assert (installations.ICU in installations.asked_for([tmp_path / "none", tmp_path])) is icu


def test_a_server_that_has_the_extensions_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest of those that have most of them; never where the usual one has all, or a server was named."""
    installed = {}
    for major, names in ((15, ("citext", "ltree")), (16, ()), (17, ("citext",)), (18, ("vector",))):
        directory = tmp_path / f"v{major}" / "share/extension"
        directory.mkdir(parents=True)
        for name in names:
            (directory / f"{name}.control").touch()
        installed[major] = tmp_path / f"v{major}" / "bin"
        installed[major].mkdir()
        says = b"ICU is not supported in this build" if major in {16, 18} else b""
        (installed[major] / "postgres").write_bytes(b"\0" + says + b"\0")
    monkeypatch.setattr(embedded, "available", lambda: installed)
    for needed, spec in (
        ((), "embedded"),
        (("vector",), "embedded"),
        (("citext",), "embedded:17"),
        (("citext", "ltree"), "embedded:15"),
        (("nothing",), "embedded"),
        ((installations.ICU,), "embedded:17"),
        ((installations.ICU, "ltree"), "embedded:15"),
    ):
        assert installations.fitting("embedded", frozenset(needed)) == spec
    assert installations.fitting("embedded:18", frozenset({"citext"})) == "embedded:18"
    assert installations.line("citext") == "--scratch embedded:17, which has it"
    assert "apt-get install postgresql-" in installations.line("postgis")
    assert "-postgis-3," in installations.line("postgis")
    assert "-pgsphere," in installations.line("pg_sphere")
    # No package brings what scratch refuses.
    for outward in ("dblink", "postgres_fdw", "plpython3u"):
        assert "template1 has it" in installations.line(outward)


def test_a_history_with_a_contrib_extension_is_examined(
    shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """On the machine's own server, where one has it; otherwise the line that brings it, and what needs it unexamined."""
    revision = shop.parent / "migrations/versions/d4.py"
    revision.write_text(
        '"""Add tags"""\nfrom alembic import op\nrevision, down_revision = "d4", "c3"\n'
        "def upgrade():\n    op.execute('CREATE EXTENSION IF NOT EXISTS hstore')\n"
        "    op.execute('CREATE TABLE tag (id int PRIMARY KEY, v hstore)')\n"
        "def downgrade():\n    op.execute('DROP TABLE tag')\n    op.execute('DROP EXTENSION hstore')\n"
    )
    having = [
        major for major, bindir in embedded.available().items() if "hstore" in installations.there(bindir)
    ]
    code = cli.main(["trace", "c3:d4"])
    said = capfd.readouterr()
    if having:
        assert f"--scratch embedded:{max(having)}" in said.err
        assert "CREATE TABLE tag" in said.out
    else:
        assert code in {3, 40}
        assert "apt-get install" in said.out + said.err
