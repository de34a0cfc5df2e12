"""A password never survives `scrub`, however it is spelled."""

from __future__ import annotations

import html
import urllib.parse

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import ArgumentError

from airlock.database.server_errors import first_line
from airlock.operations.drill.failures import one_line
from airlock.records import secrets
from airlock.records.secrets import scrub, without_passwords


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a memory of its own."""
    monkeypatch.setattr(secrets, "_known", set())


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:hunter22@h/db",
        "could not connect to postgresql+psycopg2://u:hunter22@h:5432/db?sslmode=require (tried twice)",
        "postgresql://u:hun@ter/hunter22@h/db",
        "dsn: host=h password=hunter22 user=u",
        "password='hunter22' host=h",
        'invalid dsn: missing "=" after "postgresql+psycopg2://u:hunter22@h/db"',
        "postgresql://h/db?user=u&password=hunter22&sslmode=require",
        "PGPASSWORD=hunter22 psql",
    ],
)
def test_a_password_in_its_usual_places_is_masked_unknown(text: str) -> None:
    """URLs, keywords and variables give it away by position alone."""
    assert "hunter22" not in secrets.scrub(text)


@given(st.text(min_size=4, max_size=40).filter(lambda text: text.strip() == text and not text.isspace()))
def test_a_remembered_password_is_masked_in_every_spelling(password: str) -> None:
    """Raw, percent-encoded, as SQLAlchemy and as Python spell it: none of them is left in any line."""
    secrets._known.clear()
    secrets.remember(password)
    for spelling in (
        password,
        urllib.parse.quote(password, safe=""),
        urllib.parse.quote(password),
        urllib.parse.quote(password, safe=" +"),
        repr(password)[1:-1],
    ):
        scrubbed = secrets.scrub(f"fatal [{spelling}] here")
        assert spelling in secrets.MASK or spelling not in scrubbed


def test_the_piece_that_libpq_prints_as_a_host_is_masked() -> None:
    """A raw `@` in a password: libpq takes its tail for the host and prints it."""
    secrets.remember("S3cr3t@Tail99")
    assert "Tail99" not in secrets.scrub('could not translate host name "Tail99@127.0.0.1" to address')


def test_text_without_secrets_is_left_alone() -> None:
    """Nothing is hidden that a reader needs."""
    text = "phase2.task is held by pid 4121 (reporting, 3 min). See https://example.org/a:b for more."
    assert secrets.scrub(text) == text


def test_an_object_is_named_without_its_address() -> None:
    """SQLAlchemy's own words, as a line and in a page; SQL that is to be run stays as it is."""
    with pytest.raises(ArgumentError, match=r"<object object at 0x") as raised:
        sa.select(object())  # type: ignore[call-overload]
    for error in (first_line(raised.value), one_line(raised.value), scrub(str(raised.value))):
        assert "got <object object>" in error and "0x" not in error
    assert scrub(html.escape(str(raised.value))).endswith("got &lt;object object&gt;.")
    assert scrub(f"{test_a_long_word_is_read_once!r}") == "<function test_a_long_word_is_read_once>"
    for kept in ("mask 0xdeadbeef", "at 0xdeadbeef there", "INSERT INTO t VALUES (' at 0xdeadbeef')"):
        assert scrub(kept) == kept
    assert without_passwords("SELECT '<x at 0x7f0000000000>'") == "SELECT '<x at 0x7f0000000000>'"


def test_a_long_word_is_read_once() -> None:
    """A value of a megabyte in hexadecimal, as a migration may insert one, is no reason to hang."""
    word = "ab" * 500_000
    assert secrets.scrub(word) == word
    assert secrets.scrub(f"{word}://u:hunter22@h") == f"{word}://u:***@h"
