"""A project is read as Alembic reads it, and what is wrong with it is said in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic.util.exc import CommandError

from airlock.drivers.engine_events import listening
from airlock.project import environment
from airlock.project.project import Project
from airlock.records.errors import AirlockError, HistoryFault, Refused, Usage
from bench.upgrade import KINDS, run
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from tests.servers import Database

CHAIN = [
    Revision("a1", "pass", title="Add one thing"),
    Revision("b2", "pass", extra='irreversible = "rows are gone"\nresumable = True\nkept = {"t.c": "stays"}'),
    Revision("c3", "pass"),
]


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door stands in the ini's directory; so does each test. sys.path is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize(
    ("file", "named"), [("a1.py", "a1"), ("2026_01_a1_add_two.py", "add two"), ("add_two.py", "add two")]
)
def test_a_revision_without_a_docstring_is_called_as_its_file_is(
    tmp_path: Path, file: str, named: str
) -> None:
    """The text stands below the imports in whole projects; an id beside the id would say nothing."""
    ini = write_project(tmp_path, CHAIN[:1])
    written = tmp_path / "alembic" / "versions" / "a1.py"
    text = written.read_text()
    written.unlink()
    for without in (f"revision = None\n{text}", text.replace("Add one thing", "empty message")):
        written.with_name(file).write_text(without)
        assert [one.title for one in Project.open(ini).revisions()] == [named]


def test_revisions_come_in_upgrade_order_with_what_they_say(tmp_path: Path) -> None:
    """Title, irreversible, resumable and kept are read from the module."""
    project = Project.open(write_project(tmp_path, CHAIN))
    first, second, third = project.revisions()
    assert (first.revision, first.title, first.irreversible) == ("a1", "Add one thing", None)
    assert (second.irreversible, second.resumable, second.kept) == ("rows are gone", True, {"t.c": "stays"})
    assert third.down_revisions == ("b2",)
    assert project.heads == ("c3",)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("a1:c3", ["b2", "c3"]), ("base:b2", ["a1", "b2"]), ("b2:", ["c3"]), (":a1", ["a1"]), ("c3:c3", []),
        ("head-1:head", ["c3"]), ("-1:head", ["c3"]), ("head-3:a1", ["a1"]), ("a1+1:head", ["c3"]),
        ("head-2:head-1", ["b2"]),
    ],
)  # fmt: skip
def test_a_range_leaves_out_its_start_and_has_its_end(
    tmp_path: Path, asked: str, expected: list[str]
) -> None:
    """FROM:TO excludes FROM and includes TO."""
    project = Project.open(write_project(tmp_path, CHAIN))
    assert [one.revision for one in project.revisions(asked)] == expected


@pytest.mark.parametrize("asked", ["a1", "c3:a1", "zz:c3", "a1:zz", "zz-1:c3", "c3+1:c3"])
def test_a_range_that_is_none_is_refused(tmp_path: Path, asked: str) -> None:
    """Exit 2, with the range in the message."""
    project = Project.open(write_project(tmp_path, CHAIN))
    with pytest.raises(AirlockError) as caught:
        project.revisions(asked)
    assert caught.value.exit_code in (2, 30)


def test_branches_and_merges_are_ordered(tmp_path: Path) -> None:
    """Every parent comes before its children; two heads are both there."""
    revisions = [
        Revision("a1", "pass"),
        Revision("b1", "pass", revises="a1"),
        Revision("b2", "pass", revises="a1"),
        Revision("m1", "pass", revises=("b1", "b2")),
        Revision("x1", "pass", revises=None),
    ]
    project = Project.open(write_project(tmp_path, revisions))
    order = [one.revision for one in project.revisions()]
    assert sorted(order) == ["a1", "b1", "b2", "m1", "x1"]
    assert order.index("a1") < order.index("b1") < order.index("m1")
    assert project.heads == ("m1", "x1")


def test_settings_accept_findings_of_every_revision_or_of_one(tmp_path: Path) -> None:
    """The revision's own reason comes first, then the id, its first characters, and `*`; another's is none."""
    one = Revision("0123abcd", "pass", extra='accepted = {"scan public.t": "own"}')
    ini = write_project(tmp_path, [one, Revision("0124", "pass")])
    (tmp_path / "airlock.toml").write_text(
        '[accepted."*"]\nbreaks = "we stop"\nscan = "all"\n[accepted.0123]\nscan = "short"\nrewrite = "short"\n'
        '[accepted.0123abcd]\nrewrite = "whole"\n"scan public.t" = "settings"\n[trace]\nrows = 1000\n'
    )
    project = Project.open(ini)
    assert dict(project.revision("0123abcd").accepted) == {
        "breaks": "we stop", "scan": "short", "rewrite": "whole", "scan public.t": "own",
    }  # fmt: skip
    assert dict(project.revisions()[1].accepted) == {"breaks": "we stop", "scan": "all"}


def break_history(tmp_path: Path, text: str, name: str = "b2.py") -> Path:
    ini = write_project(tmp_path, CHAIN)
    (tmp_path / "alembic" / "versions" / name).write_text(text)
    return ini


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def upgrade(:\n", "does not parse"),
        (
            "import nowhere_to_be_found\nrevision='b2'\ndown_revision='a1'\n",
            "b2.py:1 cannot be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'. Try: pip install it",
        ),
        (
            "try:\n    import nowhere\nexcept ImportError:\n    raise ValueError('no')\nrevision='b2'\ndown_revision='a1'\n",
            r"b2.py:4 cannot be imported: ValueError: no \(behind it: no module named 'nowhere'\). Try: pip install it",
        ),
        ("revision='b2'\ndown_revision='b2'\ndef upgrade(): pass\n", "The history is broken: "),
        ("revision='b2'\ndown_revision='gone'\ndef upgrade(): pass\n", "gone"),
        ("revision='a1'\ndown_revision=None\ndef upgrade(): pass\n", "more than once"),
        (f"revision='{'b' * 40}'\ndown_revision='a1'\ndef upgrade(): pass\n", "32"),
    ],
)
def test_a_broken_history_is_said_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    """Exit 30 with the file or the revision, whatever Alembic itself would raise."""
    if "b" * 40 in text:
        (tmp_path / "x").mkdir()
        ini = write_project(tmp_path / "x", [Revision("a1", "pass")])
        (tmp_path / "x" / "alembic" / "versions" / "b.py").write_text(text)
        os.chdir(tmp_path / "x")
    else:
        ini = break_history(tmp_path, text)
    with pytest.raises(HistoryFault, match=words) as caught:
        Project.open(ini)
    assert "\n" not in str(caught.value)


def test_a_version_table_that_is_widened_holds_longer_names(tmp_path: Path) -> None:
    """By env.py or by a revision: what it holds then is the server's to say."""
    ini = write_project(tmp_path, [Revision("b" * 40, "pass")])
    with pytest.raises(HistoryFault, match="holds 32"):
        Project.open(ini)
    env = tmp_path / "alembic/env.py"
    env.write_text(env.read_text() + '# WIDER = "ALTER TABLE alembic_version ALTER version_num TYPE text"\n')
    assert Project.open(ini).heads == ("b" * 40,)


def test_one_revision_is_no_range_and_the_range_that_holds_it_is_said(tmp_path: Path) -> None:
    """Read as FROM, it would name all others."""
    project = Project.open(write_project(tmp_path, CHAIN))
    for name, said in [("b2", "Try: a1:b2 for"), ("a1", "Try: base:a1 for"), ("zz", "Try: FROM:TO")]:
        with pytest.raises(Usage, match=said):
            project.revisions(name)


@pytest.mark.parametrize("line", ["", "version_locations = alembic/version\n"])
def test_revisions_that_alembic_does_not_read_are_named(tmp_path: Path, line: str) -> None:
    """Exit 30, not a history without revisions that is proved: in a directory below, or beside a misspelt one."""
    ini = write_project(tmp_path, CHAIN)
    versions = tmp_path / "alembic" / "versions"
    assert Project.open(ini).unread() == []
    if line:
        ini.write_text(ini.read_text() + line)
    else:
        files = list(versions.glob("*.py"))
        (versions / "postgresql").mkdir()
        for file in files:
            file.rename(versions / "postgresql" / file.name)
    with pytest.raises(
        HistoryFault, match=r"alembic/version.*, but alembic/versions.*\.py is one, and 2 files"
    ):
        Project.open(ini)


def test_a_history_without_revisions_is_one(tmp_path: Path) -> None:
    """A project that begins: no revision yet, and modules of its own in a directory beside them."""
    ini = write_project(tmp_path, [])
    (tmp_path / "alembic" / "versions").mkdir(exist_ok=True)
    (tmp_path / "alembic" / "shared.py").write_text("WORDS = 1\n")
    assert Project.open(ini).revisions() == ()
    # Alembic takes it for an empty history, and a pipeline with a wrong path would be green.
    (tmp_path / "alembic" / "versions").rename(tmp_path / "elsewhere")
    with pytest.raises(HistoryFault, match=r"no directory of revisions at .*alembic/versions") as raised:
        Project.open(ini)
    assert raised.value.exit_code == 30
    assert Project.open(ini, begun=False).revisions() == ()


@pytest.mark.parametrize(
    "text", ["", "[alembic]\n", "not an ini at all", "[alembic]\nscript_location = nowhere\n"]
)
def test_a_wrong_ini_is_a_usage_error(tmp_path: Path, text: str) -> None:
    """Exit 2, naming the file."""
    (tmp_path / "alembic.ini").write_text(text)
    with pytest.raises(Usage):
        Project.open(tmp_path / "alembic.ini")
    with pytest.raises(Usage, match="no Alembic configuration"):
        Project.open(tmp_path / "absent.ini")


def test_pyproject_is_a_configuration_too(tmp_path: Path) -> None:
    """`[tool.alembic]`, as Alembic reads it since 1.16."""
    write_project(tmp_path, CHAIN).unlink()
    (tmp_path / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "%(here)s/alembic"\n')
    assert Project.open(tmp_path / "pyproject.toml").heads == ("c3",)


def test_pyproject_is_read_with_the_ini_beside_it(tmp_path: Path) -> None:
    """`alembic init -t pyproject` leaves the URL and the logging in alembic.ini: env.py asks for both."""
    write_project(tmp_path, CHAIN).write_text("[alembic]\nsqlalchemy.url = postgresql://h/d\n")
    (tmp_path / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "%(here)s/alembic"\n')
    project = Project.open(tmp_path / "pyproject.toml")
    assert (project.heads, project.ini_url()) == (("c3",), "postgresql://h/d")


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
def test_the_statement_that_moves_a_version_row_is_not_compiled(
    driver: str, tmp_path: Path, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server gets the text that Alembic spells; where SQLAlchemy has to spell it, it does."""
    ids = ["r0", "r1", "r2", "r%3", "r4", "r5"]
    gone = "op.execute('DELETE FROM alembic_version')"
    ini = write_project(tmp_path, [Revision(name, gone if name == "r5" else "pass", "pass") for name in ids])
    (tmp_path / "alembic" / "env.py").write_text(
        KINDS[f"connect, {driver}"].replace(
            "context.configure(connection=connection)",
            "context.configure(connection=connection, transaction_per_migration=True)",
        )
    )
    monkeypatch.setenv("DATABASE_URL", empty_database.url)
    sent: list[str] = []
    compiled: list[bool] = []

    def see(
        _connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        if statement.startswith("UPDATE"):
            sent.append(statement)
            compiled.append(context.compiled is not None)

    with listening({"after_cursor_execute": see}):
        with pytest.raises(
            CommandError, match=r"one row when updating 'r4' to 'r5' in 'alembic_version'; 0 found"
        ):
            environment.run(Project.open(ini), "heads", "up")
    straight = "UPDATE alembic_version SET version_num='{}' WHERE alembic_version.version_num = '{}'"
    assert sent[:2] + sent[-1:] == [
        straight.format(*two) for two in (("r1", "r0"), ("r2", "r1"), ("r5", "r4"))
    ]
    assert compiled == [False, False, True, True, False]
    assert run(empty_database.url, "SELECT version_num FROM alembic_version") == [("r4",)]


CONFIGURING = """\
def configure(config):
    config.shop_url = "postgresql://"
    config.set_main_option("script_location", "alembic")
    config.cmd_opts = None
"""


def test_what_a_program_sets_is_set_by_a_function_of_the_project(tmp_path: Path) -> None:
    """Before the scripts are sought: the ini need not say where they are."""
    ini = write_project(tmp_path, CHAIN)
    ini.write_text("[alembic]\n")
    (tmp_path / "airlock.toml").write_text('configure = "shop_setup:configure"\n')
    (tmp_path / "shop_setup.py").write_text(CONFIGURING)
    before = list(sys.path)
    project = Project.open(ini).with_x_arguments(["a=b"])
    assert project.heads == ("c3",)
    assert (project.config.shop_url, project.config.cmd_opts) == ("postgresql://", None)  # type: ignore[attr-defined]
    assert sys.path == before


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("shop", "is no MODULE:FUNCTION"),
        ("nowhere_at_all:configure", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("os.path:configure", "the module os.path has no function configure"),
        ("os.path:join", "TypeError"),
        ("sys:exit", "ended the program"),
    ],
)
def test_a_function_that_cannot_be_called_is_a_usage_error(tmp_path: Path, said: str, words: str) -> None:
    """With what was said in the settings, and why."""
    ini = write_project(tmp_path, CHAIN)
    (tmp_path / "airlock.toml").write_text(f'configure = "{said}"\n')
    with pytest.raises(Usage, match=f"^configure = '{said}'.*{words}"):
        Project.open(ini)


ENV_FIRST = """\
import sys

sys.path.append({place!r})
from alembic import context
from sqlalchemy import create_engine

{middle}
context.configure(url="postgresql://")
with context.begin_transaction():
    context.run_migrations()
"""


@pytest.mark.parametrize(
    "middle",
    [
        "",
        'create_engine("postgresql+psycopg2://nobody@airlock.invalid/none").connect()',
        "raise KeyError('connection')",
    ],
    ids=["configures", "connects", "fails"],
)
def test_revisions_find_what_env_py_has_brought(tmp_path: Path, middle: str) -> None:
    """As with Alembic, which runs env.py before it reads them; nothing is connected to."""
    ini = write_project(tmp_path, [*CHAIN, Revision("d4", "pass", extra="import words_of_the_shop_alone")])
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/words_of_the_shop_alone.py").touch()
    (tmp_path / "alembic/env.py").write_text(ENV_FIRST.format(place=str(tmp_path / "lib"), middle=middle))
    try:
        assert Project.open(ini).heads == ("d4",)
    finally:
        sys.modules.pop("words_of_the_shop_alone", None)


def test_the_sections_that_name_scripts_are_named(tmp_path: Path) -> None:
    """Where [alembic] does not, and others do: -n chooses."""
    ini = write_project(tmp_path, CHAIN)
    ini.write_text("[DEFAULT]\nscript_location = alembic\n[main]\n[archive]\n[logger_root]\nlevel = WARN\n")
    with pytest.raises(Usage, match=r"Try: -n main or -n archive$"):
        Project.open(ini)


def test_env_py_reads_which_command_of_alembics_runs(
    tmp_path: Path, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`config.cmd_opts`: some choose their database by it."""
    ini = write_project(tmp_path, CHAIN)
    env = tmp_path / "alembic/env.py"
    told = tmp_path / "told"
    env.write_text(
        f"from pathlib import Path\n{env.read_text()}\nasked = context.config.cmd_opts\n"
        f"with Path({str(told)!r}).open('a') as file:\n"
        "    print(asked.cmd[0].__name__, getattr(asked, 'revision', None), file=file)\n"
    )
    monkeypatch.setenv("DATABASE_URL", empty_database.url)
    project = Project.open(ini)
    environment.learn(project)
    environment.run(project, "b2", "up")
    environment.run(project, "a1", "down")
    assert told.read_text().splitlines() == ["current None", "upgrade b2", "downgrade a1"]


def test_a_revision_without_a_function_is_named(
    tmp_path: Path, empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alembic looks for it as it plans, and dies of its absence."""
    ini = write_project(tmp_path, CHAIN)
    file = next((tmp_path / "alembic/versions").glob("*c3*"))
    file.write_text(file.read_text().partition("def downgrade")[0])
    monkeypatch.setenv("DATABASE_URL", empty_database.url)
    project = Project.open(ini)
    environment.run(project, "c3", "up")
    with pytest.raises(
        Refused, match=r"^c3 cannot be undone: the file has no downgrade\(\)\. Nothing changed\.$"
    ):
        environment.run(project, "b2", "down")


def test_a_message_that_ends_with_a_bracket_has_its_full_stop() -> None:
    """As oslo.config's: what follows is a sentence of its own."""
    said = str(
        Usage("env.py failed: value required for option url in group [indexer]", standing="Nothing changed.")
    )
    assert said == "env.py failed: value required for option url in group [indexer]. Nothing changed."
