"""`airlock revision` and `airlock check` from the command line, on a shop of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airlock.cli import main
from airlock.operations.check import read
from airlock.project.project import Project
from airlock.records.check import Fault
from airlock.records.revision import Likely
from tests.airlock.revision.harness import Shop, start
from tests.airlock.revision.shop import MUTATIONS, SOURCE


@pytest.fixture
def project(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop's project with its models beside it, as the command line finds it."""
    (shop.directory / "models.py").write_text(SOURCE)
    monkeypatch.chdir(shop.directory)
    return shop.directory


def mutate(project: Path, name: str) -> None:
    source = SOURCE
    for old, new in MUTATIONS[name]:
        source = source.replace(old, new)
    (project / "models.py").write_text(source)


def hook(project: Path) -> None:
    """Let env.py write in the zero-downtime form under plain Alembic too, as this repository's does."""
    env = project / "alembic" / "env.py"
    env.write_text(
        "from airlock.operations.revision import process_revision_directives\n"
        + env.read_text().replace('given.get("directives")', "process_revision_directives")
    )


def files(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "alembic" / "versions").glob("*.py"))


@pytest.mark.proof
def test_nothing_to_do(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Says so, exit 0, no file."""
    before = files(project)
    assert main(["revision", "-m", "Change nothing"]) == 0
    assert "Nothing to write: the history leads to the models" in capsys.readouterr().out
    assert files(project) == before


@pytest.mark.proof
def test_what_was_written_is_traced_drilled_and_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each new revision with its verdict; the docstring's Locks is what was seen; the line to fill in is told."""
    mutate(project, "column added NOT NULL without default")
    assert main(["revision", "-m", "Add product.color", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sound"] is True
    assert [one["verdict"] for one in told["verdicts"]] == ["proved"] * 5
    assert told["dangerous"] == told["left"] == told["differences"] == []
    texts = [Path(one["path"]).read_text() for one in told["written"]]
    assert "Locks: ACCESS EXCLUSIVE on shop.product; no scan, no rewrite. Seen on PostgreSQL 18" in texts[0]
    assert (
        "SHARE UPDATE EXCLUSIVE on shop.product; scans shop.product, while reads and writes go on"
        not in texts[0]
    )
    # Filled before the CHECK, and again behind it.
    assert [one["fill_in"] != [] for one in told["written"]] == [False, True, False, True, False]
    assert "# ###" not in "".join(texts)
    # A second call finds nothing.
    assert main(["revision", "-m", "Again"]) == 0
    assert len(files(project)) == 6


@pytest.mark.proof
def test_what_is_dangerous_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stored generated column cannot be had without a rewrite: written, and exit 1 with the finding."""
    source = SOURCE.replace(
        "# more tables",
        'metadata.tables["shop.product"].append_column(Column("d", Integer, Computed("stock * 2", persisted=True)))',
    )
    (project / "models.py").write_text(source)
    before = files(project)
    assert main(["revision", "-m", "Double the stock"]) == 1
    out = capsys.readouterr().out
    assert "DANGEROUS: rewrite shop.product (up)" in out
    assert "Wrote 1 revision, but 1 dangerous statement, on PostgreSQL" in out
    assert "The files are removed again; --keep keeps them." in out
    assert files(project) == before
    assert main(["revision", "-m", "Double the stock", "--keep"]) == 1
    assert "Look before you deploy." in capsys.readouterr().out
    assert len(files(project)) == len(before) + 1
    # What an env.py gives that has not loaded the models' modules.
    (project / "models.py").write_text("import sqlalchemy\nmetadata = sqlalchemy.MetaData()\n")
    assert main(["revision", "-m", "Nothing loaded"]) == 2
    assert "The models that env.py gives have no table: every" in capsys.readouterr().err
    assert len(files(project)) == len(before) + 1


def test_which_of_two_heads_is_asked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 30, with the option that says it, and the merge to run; so where what is said is no head, or there already."""
    versions = project / "alembic" / "versions"
    base = Path(files(project)[0]).stem.partition("_")[2]
    for name in ("aaa", "bbb"):
        (versions / f"{name}.py").write_text(
            f"revision, down_revision = '{name}', {base!r}\nbranch_labels = depends_on = None\n"
            "def upgrade(): pass\ndef downgrade(): pass\n"
        )
    assert main(["revision", "-m", "Change"]) == 30
    error = capsys.readouterr().err
    assert "The history has 2 heads: aaa, bbb. Nothing was written." in error
    assert 'Try: --head bbb to go on from one of them, or alembic merge -m "Merge" aaa bbb' in error
    for place, said in {
        ("--head", "ccc"): "Can't locate revision identified by 'ccc'.",
        ("--head", "aaa", "--rev-id", "bbb"): "A revision is called bbb already.",
        ("--head", base): f"{base} is no head: what leads to the models stands behind all that is there.",
        ("--safer", "aaa", "--version-path", "x"): "--safer writes where the revision stands",
    }.items():
        assert main(["revision", *(() if "--safer" in place else ("-m", "Change")), *place]) in {2, 30}
        assert said in capsys.readouterr().err


@pytest.mark.proof
def test_a_branch_goes_on_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of several carries the id, the label and what it depends on; all lie in the branch's directory, proved."""
    start(tmp_path)
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        ini.read_text() + "version_locations = %(here)s/core %(here)s/till\npath_separator = space\n"
    )
    for place, revision in (("core", "c1"), ("till", "t1")):
        (tmp_path / place).mkdir()
        (tmp_path / place / f"{revision}.py").write_text(
            f"from alembic import op\nrevision, down_revision, branch_labels, depends_on = {revision!r}, None, {place!r}, None\n"
            f"def upgrade(): op.execute('CREATE TABLE shop.{place} (id serial PRIMARY KEY, n INTEGER)')\n"
            f"def downgrade(): op.execute('DROP TABLE shop.{place}')\n"
        )
    (tmp_path / "models.py").write_text(
        "import sqlalchemy as sa\nmetadata = sa.MetaData(schema='shop')\n"
        "for name, more in (('core', []), ('till', [sa.Column('core', sa.ForeignKey('shop.core.id'))])):\n"
        "    sa.Table(name, metadata, sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Integer), *more)\n"
    )
    monkeypatch.chdir(tmp_path)
    where = [
        "--head",
        "till@head",
        "--rev-id",
        "t2",
        "--branch-label",
        "counter",
        "--depends-on",
        "core@head",
    ]
    assert main(["revision", "-m", "Refer to the core", *where]) == 0, capsys.readouterr()
    script = Project.open(ini).script
    written = [one for one in script.walk_revisions() if one.revision not in {"c1", "t1"}]
    assert len(written) > 1
    assert {Path(one.path).parent.name for one in written} == {"till"}
    first = written[-1]
    assert (first.revision, first.down_revision, first.dependencies) == ("t2", "t1", "c1")
    assert "counter" in first.branch_labels
    assert sorted(script.get_heads()) == sorted(["c1", written[0].revision])


@pytest.mark.proof
@pytest.mark.parametrize("hooked", [False, True])
def test_a_likely_rename_is_refused_where_nobody_can_be_asked(
    project: Path, capsys: pytest.CaptureFixture[str], hooked: bool
) -> None:
    """Exit 1, nothing written, both answers spelt; either answer then writes; whether env.py has the hook or not."""
    if hooked:
        hook(project)
    source = SOURCE.replace('Column("weight", Integer)', 'Column("mass", Integer)').replace(
        '"weight * height"', '"mass * height"'
    )
    source = source.replace('postgresql_include=["weight"]', 'postgresql_include=["mass"]')
    (project / "models.py").write_text(source)
    before = files(project)
    assert main(["revision", "-m", "Say mass"]) == 1
    error = capsys.readouterr().err
    assert "Renamed, or dropped and added? shop.product.weight -> shop.product.mass" in error
    assert "Nothing was written." in error
    assert "--rename shop.product.weight:mass, or --rename none" in error
    assert files(project) == before
    assert main(["revision", "-m", "Say mass", "--rename", "shop.product.weight:mass"]) == 0
    assert len(files(project)) == len(before) + 1


@pytest.mark.proof
@pytest.mark.parametrize("hooked", [False, True])
def test_somebody_at_a_terminal_is_asked(project: Path, hooked: bool) -> None:
    """The answer decides: yes renames."""
    from airlock.operations.revision.parent import revise

    if hooked:
        hook(project)
    source = SOURCE.replace('Column("percent", Integer', 'Column("less", Integer').replace(
        '"percent BETWEEN', '"less BETWEEN'
    )
    (project / "models.py").write_text(source)
    asked: list[str] = []

    def answer(likely: Likely) -> bool:
        asked.append(likely.option)
        return True

    revised = revise(project / "alembic.ini", "Say less", ask=answer)
    assert asked == ["shop.coupon.percent:less"]
    (written,) = revised.written
    renamed = 'op.alter_column("coupon", "percent", new_column_name="less", schema="shop")'
    assert renamed in Path(written.path).read_text()
    assert revised.sound


def house(project: Path) -> None:
    """Turn this repository's house rules on."""
    (project / "airlock.toml").write_text("rules = { docstring = true, imports = true }\n")


@pytest.mark.proof
def test_a_sound_history_passes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0; every question is answered."""
    house(project)
    assert main(["check"]) == 0
    assert capsys.readouterr().out.startswith(
        "proved: 1 revision: one head, no import but alembic and sqlalchemy"
    )


@pytest.mark.proof
def test_every_question_of_the_gate_can_be_failed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Models that moved on, a dangerous statement, a downgrade that forgets, a docstring without answers, an import."""
    house(project)
    mutate(project, "index added")
    head = Path(files(project)[0]).stem.partition("_")[2]
    (project / "alembic" / "versions" / "zzz.py").write_text(
        f'"""Add product.rank\n\nWhy: needed.\nLocks: TODO\n"""\nfrom alembic import op\nfrom pytest import mark\n\n'
        f"revision, down_revision = 'zzz', {head!r}\nbranch_labels = depends_on = None\n\n"
        "def upgrade():\n    op.execute('ALTER TABLE shop.product ADD COLUMN IF NOT EXISTS rank double precision DEFAULT random()')\n\n"
        "def downgrade():\n    pass\n"
    )
    assert main(["check", "--json"]) == 1
    faults = {(one["question"], one["text"]) for one in json.loads(capsys.readouterr().out)["faults"]}
    assert ("imports", "imports pytest: a revision outlives it") in faults
    assert ("docstring", "answers Locks: with TODO") in faults
    assert ("docstring", "does not answer Undo:") in faults
    questions = dict(faults)
    assert "rewrite shop.product while others wait (up)" in questions["danger"]
    assert "downgrade is refused" in questions["proof"]
    assert any("index shop.ix_product_maker" in text for question, text in faults if question == "models")


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ("import app.models", "imports"),
        ("from . import helper", "imports"),
        ("import json, alembic, sqlalchemy.dialects.postgresql", ""),
        ("# FILL IN: 0 is a stand-in", "fill in"),
    ],
)
def test_a_file_is_read_without_being_run(tmp_path: Path, line: str, question: str) -> None:
    """Imports and open lines, with their place."""
    versions = start(tmp_path / "p") / "alembic" / "versions"
    text = '"""Title\n\nWhy: a.\nLocks: b.\nUndo: c.\n"""\n\nrevision = "a"\ndown_revision = branch_labels = depends_on = None\n'
    (versions / "a.py").write_text(text)
    os.chdir(tmp_path)
    (facts,) = Project.open(tmp_path / "p" / "alembic.ini").revisions()
    (versions / "a.py").write_text(f"{text}{line}\n")
    found = list(read(facts))
    assert [(one.question, one.line) for one in found] == ([(question, 10)] if question else [])
    assert all(isinstance(one, Fault) for one in found)


@pytest.mark.proof
def test_a_template_that_breaks_while_writing_is_told_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The project's script.py.mako divides by zero: exit code 2, and where Alembic has put what Mako raised."""
    mutate(project, next(iter(MUTATIONS)))
    before = files(project)
    template = project / "alembic" / "script.py.mako"
    template.write_text(template.read_text() + "${1 / 0}\n")
    assert main(["revision", "-m", "Anything"]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "The revision could not be written: " in told
    assert "Traceback" not in told
    assert files(project) == before


@pytest.mark.proof
def test_what_was_written_and_does_not_run_is_removed_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The project's template adds a statement that fails: exit code 3, one line, no file left; --keep leaves it."""
    mutate(project, next(iter(MUTATIONS)))
    before = files(project)
    template = project / "alembic" / "script.py.mako"
    template.write_text(
        template.read_text().replace("def upgrade():", "def upgrade():\n    op.execute('SELECT 1/0')")
    )
    assert main(["revision", "-m", "Anything"]) == 3
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "division by zero" in told
    assert "What was written is removed again." in told
    assert "Traceback" not in told
    assert files(project) == before
    assert main(["revision", "-m", "Anything", "--keep"]) == 3
    assert "What was written is kept." in capsys.readouterr().err
    assert len(files(project)) == len(before) + 1
