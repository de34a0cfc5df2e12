"""Options before and behind the command, from variables and from the project's file; Alembic's own habits."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock import cli
from tests.airlock.installed.shop import write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def asked(shop: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run a command up to its act, and keep what it was asked for."""
    kept: dict[str, object] = {}

    def run(arguments: object) -> int:
        kept.update(vars(arguments))
        return 0

    monkeypatch.chdir(shop.parent)
    for name in ("drill", "trace", "upgrade", "check"):
        monkeypatch.setattr(f"airlock.commands.{name}.run", run)
    for name in ("AIRLOCK_NAME", "AIRLOCK_TAG", "COLOUR"):
        # So that what a run puts there is taken away again.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return kept


@pytest.mark.parametrize(
    "words",
    [
        ("drill", "--rows", "7", "a1:b2", "--json"),
        ("--rows", "7", "drill", "a1:b2", "--json"),
        ("--json", "-c", "alembic.ini", "--rows=7", "drill", "a1:b2"),
        ("-calembic.ini", "--ro", "7", "drill", "--json", "a1:b2"),
        ("-x", "check", "drill", "--rows", "7", "--json", "a1:b2"),
    ],
)
def test_options_stand_before_the_command_too(words: tuple[str, ...], asked: dict[str, object]) -> None:
    """As Alembic's: with their values apart, joined or shortened; a value may be called like a command."""
    assert cli.main(words) == 0
    assert (asked["command"], asked["rows"], asked["range"], asked["json"]) == ("drill", 7, "a1:b2", True)


def test_variables_come_before_the_file_and_behind_the_command_line(
    shop: Path, asked: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each option has its variable; a file says it for all commands or for one."""
    settings = shop.parent / "airlock.toml"
    settings.write_text('rows = 1001\nlock-timeout = "2s"\nx = ["a=1"]\n[trace]\nrows = 1002\njson = true\n')
    try:
        assert cli.main(["drill"]) == 0
        assert (asked["rows"], asked["json"], asked["x"]) == (1001, False, ["a=1"])
        assert cli.main(["trace"]) == 0
        assert (asked["rows"], asked["json"]) == (1002, True)
        # As a pyproject.toml has them.
        settings.write_text("[tool.airlock]\nrows = 1001\n[tool.airlock.trace]\nblocker-seconds = 3\n")
        assert cli.main(["trace"]) == 0
        assert (asked["rows"], asked["blocker_seconds"]) == (1001, 3)
        monkeypatch.setenv("AIRLOCK_ROWS", "1003")
        monkeypatch.setenv("AIRLOCK_JSON", "no")
        monkeypatch.setenv("AIRLOCK_X", "b=2 'c=3 4'")
        assert cli.main(["trace"]) == 0
        assert (asked["rows"], asked["json"], asked["x"]) == (1003, False, ["b=2", "c=3 4"])
        settings.write_text('lock-timeout = "2s"\n')
        assert cli.main(["--rows", "1004", "trace"]) == 0
        assert asked["rows"] == 1004
        assert cli.main(["upgrade"]) == 0
        assert asked["lock_timeout"] == 2.0
        monkeypatch.setenv("AIRLOCK_CONFIG", str(shop))
        monkeypatch.chdir("/")
        assert cli.main(["trace"]) == 0
        assert asked["config"] == shop
    finally:
        settings.unlink()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AIRLOCK_ROWS", "many", "AIRLOCK_ROWS: 'many' is no whole number"),
        ("AIRLOCK_JSON", "perhaps", "AIRLOCK_JSON is neither yes nor no"),
    ],
)
def test_a_bad_variable_is_named(
    variable: str, value: str, said: str, asked: dict[str, object], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One line, exit code 2."""
    monkeypatch.setenv(variable, value)
    assert cli.main(["trace"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rows = [", "airlock.toml is no TOML"),
        ("colour = 1", "airlock.toml: airlock has no option 'colour'"),
        ("[trace]\ncolour = 1", "airlock.toml: airlock trace has no option 'colour'"),
        ("[traec]\nrows = 1", "airlock.toml: airlock knows no command 'traec'"),
        ("[rules]\ntaste = true", "airlock.toml: rules.taste is no rule"),
        ("[accepted.a1]\nproof = ''", "airlock.toml: accepted.a1.'proof' gives no reason"),
    ],
)
def test_a_bad_file_is_named(
    text: str, said: str, shop: Path, asked: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, nothing done."""
    settings = shop.parent / "airlock.toml"
    settings.write_text(text)
    try:
        assert cli.main(["trace"]) == 2
    finally:
        settings.unlink()
    assert said in capsys.readouterr().err
    assert not asked


@pytest.mark.parametrize(
    ("words", "then"),
    [
        (("stamp", "head"), "alembic stamp head"),
        (("-c", "x.ini", "current"), "airlock status"),
        (("history",), "alembic history, or airlock status"),
        (("heads",), "alembic heads"),
        (("current", "--url", "postgresql://a/b"), "alembic current, or"),
    ],
)
def test_alembics_own_commands_are_named(
    words: tuple[str, ...], then: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with exit code 2."""
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "is Alembic's own command" in said
    assert then in said
