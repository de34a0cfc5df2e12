"""Settings: one line for whatever is wrong, and no password in it."""

from __future__ import annotations

import logging
import stat
from typing import TYPE_CHECKING

import pytest
from pydantic_settings import SettingsConfigDict

from app.database import make_async_engine, make_engine
from app.database_url import ConfigurationError, asyncpg_url, is_pooled, migration_url, parse, psycopg2_url
from app.settings import DatabaseSettings, Settings, read
from tests.projects_copy import ProjectCopy

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "S3cr3t"
NEON = f"postgresql://u:{SECRET}@ep-a-1.eu.aws.neon.tech/db?sslmode=require&channel_binding=require"
POOLED = NEON.replace("ep-a-1.", "ep-a-1-pooler.")


@pytest.fixture(autouse=True)
def no_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DatabaseSettings.model_config, "env_file", None)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.mark.parametrize(
    ("url", "host", "database"),
    [
        (NEON, "ep-a-1.eu.aws.neon.tech", "db"),
        (NEON.replace("postgresql://", "postgres://"), "ep-a-1.eu.aws.neon.tech", "db"),
        (POOLED, "ep-a-1-pooler.eu.aws.neon.tech", "db"),
        (f"  {NEON}\n", "ep-a-1.eu.aws.neon.tech", "db"),
        (f"postgresql://u:{SECRET}@h:5433/db?options=endpoint%3Dep-a-1", "h", "db"),
        (f"postgresql+asyncpg://u:{SECRET}@h/db", "h", "db"),
        ("postgresql://u@/db?host=/run/postgresql", None, "db"),
        ("postgresql://u:p%40%25%3A%2F@h/db", "h", "db"),
    ],
)
def test_a_url_serves_both_drivers(url: str, host: str | None, database: str) -> None:
    """Exactly as Neon hands it out, pooled or not, with a socket's directory, with what is %-encoded."""
    parsed = parse(url, "DATABASE_URL")
    asynchronous, arguments = asyncpg_url(parsed)
    synchronous = psycopg2_url(parsed)
    assert (synchronous.drivername, asynchronous.drivername) == ("postgresql+psycopg2", "postgresql+asyncpg")
    for made in (synchronous, asynchronous):
        assert (made.host, made.database, made.password) == (host, database, parsed.password)
    assert set(asynchronous.query) <= {"host", "port"}
    if "options=" in url:
        assert arguments["server_settings"] == {"options": "endpoint=ep-a-1"}
        assert synchronous.query["options"] == "endpoint=ep-a-1"
    if "sslmode=require" in url:
        assert arguments["ssl"].check_hostname is False


def test_a_password_keeps_its_special_characters() -> None:
    assert parse("postgresql://u:p%40%25%3A%2F@h/db", "X").password == "p@%:/"


@pytest.mark.parametrize(
    ("mode", "verifies", "names"),
    [("require", False, False), ("verify-ca", True, False), ("verify-full", True, True)],
)
def test_tls_modes_mean_what_libpq_means(mode: str, verifies: bool, names: bool) -> None:
    _, arguments = asyncpg_url(parse(f"postgresql://u@h/db?sslmode={mode}&sslrootcert=system", "X"))
    context = arguments["ssl"]
    assert (context.verify_mode != 0, context.check_hostname) == (verifies or mode == "require", names)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_weak_tls_modes_are_asyncpgs_own(mode: str) -> None:
    assert asyncpg_url(parse(f"postgresql://u@h/db?sslmode={mode}", "X"))[1] == {"ssl": mode}


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://u:S3cr3t@h/db",
        "postgresql://u:S3cr3t@h",
        "postgresql://u:S3cr3t@h/",
        "postgresql://u:S3cr3t@h:99999/db",
        "postgresql://u:S3cr3t@h:port/db",
        "postgresql://u:S3cr3t@x@h/db",
        "postgresql://u:S3cr3t@h/db?sslmode=sometimes",
        "postgresql://u:S3cr3t@[::1/db",
    ],
)
def test_a_malformed_url_is_named_in_one_line_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    for attempt in (
        lambda: parse(url, "DATABASE_URL"),
        lambda: migration_url({"DATABASE_URL": url}, None),
        lambda: read(DatabaseSettings),
    ):
        with pytest.raises(ConfigurationError) as refusal:
            attempt()
        assert "DATABASE_URL" in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert SECRET not in repr(refusal.value)
        assert refusal.value.__cause__ is None
        assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(("written", "seconds"), [("7", 7.0), ("0", None), ("-1", None)])
def test_a_connect_timeout_means_what_libpq_means(written: str, seconds: float | None) -> None:
    """Zero waits for ever; asyncpg would give up at once."""
    arguments = asyncpg_url(parse(f"postgresql://u@h/db?connect_timeout={written}", "X"))[1]
    assert arguments == {"timeout": seconds}


def test_a_connect_timeout_that_is_no_number_is_named() -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL: connect_timeout is a whole number"):
        asyncpg_url(parse("postgresql://u@h/db?connect_timeout=soon", "DATABASE_URL"))


def test_verify_full_without_a_root_certificate_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="sslmode=verify-full needs sslrootcert=FILE"):
        asyncpg_url(parse("postgresql://u@h/db?sslmode=verify-full", "DATABASE_URL"))


def test_a_dotenv_that_is_not_text_is_named_in_one_line(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"DATABASE_URL=postgresql://u:S3cr3t\xff@h/db\n")

    class Here(DatabaseSettings):
        model_config = SettingsConfigDict(env_file=dotenv)

    for attempt in (lambda: migration_url({}, dotenv), lambda: read(Here)):
        with pytest.raises(ConfigurationError, match=r"^\.env cannot be read: it is not UTF-8"):
            attempt()


def test_a_parameter_that_asyncpg_cannot_honour_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sslcrl"):
        asyncpg_url(parse("postgresql://u@h/db?sslcrl=/x", "DATABASE_URL"))


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": NEON}, "JWT_SECRET is not set"),
        ({"DATABASE_URL": NEON, "JWT_SECRET": ""}, "JWT_SECRET is not set"),
        ({"DATABASE_URL": NEON, "JWT_SECRET": "S3cr3t"}, "JWT_SECRET is too short"),
        (
            {"DATABASE_URL": NEON, "JWT_SECRET": "S3cr3t" * 9, "DATABASE_POOL_SIZE": "many"},
            "DATABASE_POOL_SIZE",
        ),
    ],
)
def test_a_missing_or_wrong_variable_is_named_in_one_line(
    environment: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty equals missing."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refusal:
        read(Settings)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert SECRET not in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_no_secret_shows_where_settings_and_engines_are_printed(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings.model_validate({"database_url": POOLED, "jwt_secret": SECRET * 9})
    logging.getLogger("test").warning("%s %r", settings, settings)
    shown = [str(settings), repr(settings), settings.model_dump_json(), caplog.text]
    shown += [repr(make_engine(settings)), repr(make_async_engine(settings))]
    assert SECRET not in "".join(shown)


def test_the_pooler_is_known_by_its_host_or_by_a_setting() -> None:
    """Behind it asyncpg remembers nothing that it prepared."""
    assert is_pooled(parse(POOLED, "X"))
    assert not is_pooled(parse(NEON, "X"))
    said = Settings.model_validate({"database_url": NEON, "jwt_secret": "x" * 32, "database_pooled": True})
    assert said.pooled()


def test_migrations_use_the_unpooled_url_and_the_environment_comes_first(tmp_path: Path) -> None:
    """The environment wins over .env as a whole: its DATABASE_URL beats .env's DATABASE_URL_UNPOOLED."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("DATABASE_URL_UNPOOLED=postgresql://u@file/db\nDATABASE_URL=\n")
    both = {"DATABASE_URL": "postgresql://u@pooled/db", "DATABASE_URL_UNPOOLED": "postgresql://u@direct/db"}
    assert migration_url(both, dotenv).host == "direct"
    assert migration_url({"DATABASE_URL": "postgresql://u@env/db"}, dotenv).host == "env"
    assert migration_url({"DATABASE_URL": " "}, dotenv).host == "file"
    with pytest.raises(ConfigurationError, match="DATABASE_URL is not set"):
        migration_url({}, None)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        pytest.param(None, "DATABASE_URL is not set", marks=pytest.mark.proof),
        ("", "DATABASE_URL is not set"),
        pytest.param("mysql://u:S3cr3t@h/d", "not a PostgreSQL URL", marks=pytest.mark.proof),
    ],
)
def test_alembic_without_a_good_url_says_one_line_and_exits_2(
    tmp_path: Path, url: str | None, sentence: str
) -> None:
    done = ProjectCopy.make(tmp_path).alembic("upgrade", "head", url=url)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.proof
def test_alembic_reads_dotenv_where_the_environment_says_nothing(tmp_path: Path) -> None:
    project = ProjectCopy.make(tmp_path)
    (tmp_path / ".env").write_text(f"DATABASE_URL='mysql://u:{SECRET}@h/d'\n")
    (tmp_path / ".env").chmod(stat.S_IRUSR)
    done = project.alembic("current", url=None)
    assert (done.returncode, "not a PostgreSQL URL" in done.stderr) == (2, True)
