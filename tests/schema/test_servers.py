"""TEST_DATABASE: which provider the tests take, and that a named one is never replaced by another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from app.database_url import asyncpg_url, parse, psycopg2_url
from tests import servers
from tests.history import ROOT


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


@pytest.mark.usefixtures("no_docker")
def test_auto_without_docker_is_embedded_and_says_why() -> None:
    choice = servers.choose("")
    assert choice.provider == "embedded"
    assert str(choice) == "embedded (no Docker daemon answers)"


@pytest.mark.usefixtures("no_docker")
def test_a_container_that_cannot_be_had_is_an_error_and_no_skip() -> None:
    with pytest.raises(servers.ProviderError, match="TEST_DATABASE=container: no Docker daemon answers"):
        servers.choose("container")


@pytest.mark.proof
def test_a_suite_that_is_told_to_use_a_container_fails_without_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/schema/test_offline.py"], cwd=ROOT, check=False,
        env={"PATH": "", "DOCKER_HOST": "unix:///nowhere/docker.sock", "TEST_DATABASE": "container"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no Docker daemon answers" in done.stderr


def test_a_word_that_means_nothing_is_an_error() -> None:
    with pytest.raises(servers.ProviderError, match="TEST_DATABASE is auto"):
        servers.choose("mysql")


def test_a_url_is_taken_as_it_is_and_not_shown() -> None:
    choice = servers.choose("postgresql://u:S3cr3t@h/db")
    assert (choice.provider, str(choice)) == ("postgresql://u:S3cr3t@h/db", "URL (named by TEST_DATABASE)")


@pytest.mark.server
def test_the_server_is_the_one_that_was_asked_for(server: servers.Server) -> None:
    kind, _, major = os.environ["TEST_DATABASE"].partition(":")
    assert server.label.startswith(kind) or "://" in os.environ["TEST_DATABASE"]
    if kind == "embedded" and major:
        assert server.major == int(major)


@settings(deadline=None)
@given(password=st.text(min_size=1, max_size=30), database=st.text(min_size=1, max_size=20))
def test_any_password_and_database_name_reach_both_drivers_whole(password: str, database: str) -> None:
    """%-encoded as a URL asks for it, whatever the characters."""
    written = URL.create("postgresql", "u", password, "h", 5432, database).render_as_string(
        hide_password=False
    )
    if written != written.strip():
        return
    parsed = parse(written, "DATABASE_URL")
    for url in (psycopg2_url(parsed), asyncpg_url(parsed)[0]):
        assert (url.password, url.host, url.port) == (password, "h", 5432)


def test_every_module_of_the_suite_that_needs_a_server_is_marked() -> None:
    """A test of the schema that asks for a database runs on every provider."""
    for path in Path(__file__).parent.glob("test_*.py"):
        source = path.read_text()
        if "empty_database" in source or "database: Database" in source:
            assert "pytest.mark.server" in source, path.name
