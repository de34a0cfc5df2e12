"""One URL, whatever its spelling: what libpq gets of it, what may be printed of it, where it came from."""

from __future__ import annotations

import psycopg2.extensions
import pytest

from airlock.database.server_errors import connect_error
from airlock.database.target import parse, resolve_target
from airlock.records.errors import Denied, Unreachable, Usage, WrongTarget


def test_neons_pooled_host_is_left_for_the_direct_one() -> None:
    """The direct host is known from the pooled one's name; the change is said."""
    found = parse(
        "postgresql://me:secret1@ep-cool-sun-123456-pooler.eu-central-1.aws.neon.tech/main?sslmode=require"
    )
    assert found.parameters["host"] == "ep-cool-sun-123456.eu-central-1.aws.neon.tech"
    assert found.notes == ("The pooled endpoint was left for the direct one (-pooler taken off the host).",)
    assert found.label == "main on ep-cool-sun-123456.eu-central-1.aws.neon.tech"
    assert "secret1" not in repr(found)


def test_a_host_that_only_looks_pooled_is_left_alone() -> None:
    """Somebody's own pooler has no direct name that could be guessed."""
    assert parse("postgresql://me@db-pooler.example.org/main").parameters["host"] == "db-pooler.example.org"


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg"]
)
def test_every_drivers_spelling_means_the_same(scheme: str) -> None:
    """Asyncpg's `ssl` becomes libpq's `sslmode`; what only a driver understands is dropped."""
    found = parse(f"{scheme}://me:p%40ss@h:6432/d?ssl=require&prepared_statement_cache_size=0\n")
    assert dict(found.parameters) == {
        "user": "me", "password": "p@ss", "host": "h", "port": "6432", "dbname": "d", "sslmode": "require",
    }  # fmt: skip
    assert found.label == "d on h:6432"


def test_the_url_survives_being_spelt_again() -> None:
    """Odd letters in every part come back as they were, for libpq too."""
    odd = "postgresql://a%40b:%2F%3F%23%5B%25@/d%20b?host=/tmp/x&options=-c%20search_path%3Dq&port=5433"
    again = parse(odd).url
    assert parse(again).parameters == parse(odd).parameters
    known = psycopg2.extensions.parse_dsn(again)
    assert (known["user"], known["password"], known["dbname"]) == ("a@b", "/?#[%", "d b")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:p@db.example:6432/d", "@db.example:6432/d"),
        ("postgresql+asyncpg://u@/d?host=db.example", "@db.example/d"),
        ("postgresql://[::1]:5433/d", "//[::1]:5433/d"),
        ("postgresql://u@/d?host=one,two&port=1,2", "@/d?host=one%2Ctwo&port=1%2C2"),
    ],
)
def test_one_host_stands_in_the_authority(url: str, place: str) -> None:
    """A project's settings look for it there; several, and a socket's directory, are libpq's to read."""
    found = parse(url)
    assert place in found.url
    assert parse(found.url).parameters == found.parameters


def test_the_order_of_places_and_empty_is_missing() -> None:
    """--url, then the unpooled variable, then the other, then the ini; an empty one is not there."""
    both = {"DATABASE_URL_UNPOOLED": "postgresql://h/direct", "DATABASE_URL": "postgresql://h/pooled"}

    def database(explicit: str | None, environ: dict[str, str], ini: str | None) -> tuple[str, str]:
        found = resolve_target(explicit, environ, lambda: ini)
        return found.parameters["dbname"], found.source

    assert database("postgresql://h/asked", both, "postgresql://h/ini") == ("asked", "--url")
    assert database(None, both, "postgresql://h/ini") == ("direct", "DATABASE_URL_UNPOOLED")
    assert database(" ", {**both, "DATABASE_URL_UNPOOLED": ""}, None) == ("pooled", "DATABASE_URL")
    assert database(None, {"DATABASE_URL": "  "}, "postgresql://h/ini") == (
        "ini",
        "sqlalchemy.url of the ini",
    )
    with pytest.raises(Usage, match="No database is named"):
        resolve_target(None, {}, lambda: None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('FATAL:  password authentication failed for user "u"', Denied),
        ('FATAL:  role "u" does not exist', Denied),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "u", database "d", SSL off', Denied),
        ("server does not support SSL, but SSL was required", Denied),
        ("channel binding required, but server authenticated client without channel binding", Denied),
        ('FATAL:  database "d" does not exist', WrongTarget),
        ('FATAL:  too many connections for role "u"', Unreachable),
        ("FATAL:  sorry, too many clients already", Unreachable),
        ('could not translate host name "h" to address: Name or service not known', Unreachable),
        ("timeout expired", Unreachable),
        ("server closed the connection unexpectedly", Unreachable),
        ("FATAL:  unsupported startup parameter: options", Usage),
        ("ERROR: Couldn't connect to compute node", Unreachable),
        ("The endpoint ID is not specified. Either upgrade the postgres client library", Denied),
        ("something nobody has heard of", Unreachable),
    ],
)
def test_a_connect_error_has_its_exit_code_from_its_words(text: str, kind: type[Exception]) -> None:
    """psycopg2's connect errors carry no SQLSTATE: the text is all there is."""
    found = connect_error(
        psycopg2.OperationalError(f'connection to server at "h", port 5432 failed: {text}\n'), "d on h"
    )
    assert type(found) is kind
    assert str(found).startswith("d on h: ")
