"""A thousand URLs and three hundred command lines: one line, a documented exit code, no password, no traceback."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING
from unittest import mock
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airlock import cli
from airlock.records import secrets
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import airlock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODES = {0, 1, 2, 3, 10, 11, 12, 20, 21, 22, 30, 40, 41, 50, 130, 143}
# A password in two halves around a character that a careless parser stops at.
HEAD, TAIL = "S3cr3tHead", "S3cr3tTail"
# Port 1 is nobody's; names end in .invalid, which no resolver knows (RFC 2606).
HOSTS = [
    "127.0.0.1",
    "127.0.0.1:1",
    "localhost:1",
    "nowhere.invalid",
    "[::1]:1",
    "",
    "h:port",
    "127.0.0.1:0",
    "127.0.0.1:70000",
]
SCHEMES = [
    "postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+nosuch", "mysql",
    "sqlite", "", "POSTGRESQL", "http",
]  # fmt: skip
SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
awkward = st.sampled_from(
    ["", "@", ":", "/", "?", "#", "%", "%4", "%zz", "&", "=", " ", "'", '"', "\\", "[", "]", "\n", "ä", "\t"]
)
options = st.sampled_from(
    [
        "",
        "?sslmode=require&channel_binding=require",
        "?connect_timeout=1",
        "?ssl=true",
        "?nosuch=1",
        "?options=-c%20a%3Db",
    ]
    + [
        "?sslmode=sideways",
        "?host=/nowhere",
        "?port=x",
        "?application_name=me",
        "?",
        "?=",
        "?sslmode",
        "?keepalives=x",
    ]
)


@st.composite
def urls(draw: st.DrawFn) -> str:
    """Make a URL that somebody may have typed: a password encoded or raw, anything missing or doubled."""
    password = HEAD + draw(awkward) + draw(awkward) + TAIL
    if draw(st.booleans()):
        password = quote(password, safe="")
    user = draw(st.sampled_from(["u", "u%40x", "", "a b", "u" + draw(awkward)]))
    database = draw(st.sampled_from(["db", "", "d%20b", "d/b", "d" + draw(awkward)]))
    query = draw(options)
    if draw(st.integers(0, 9)) == 0:
        query = f"{query or '?x=1'}&password={password}"
        return f"{draw(st.sampled_from(SCHEMES))}://{user}@{draw(st.sampled_from(HOSTS))}/{database}{query}"
    shape = draw(
        st.sampled_from(["{s}://{u}:{p}@{h}/{d}{q}"] * 8 + ["{s}:{u}:{p}@{h}/{d}{q}", "{s}://{u}:{p}@{h}{q}"])
    )
    return shape.format(
        s=draw(st.sampled_from(SCHEMES)),
        u=user,
        p=password,
        h=draw(st.sampled_from(HOSTS)),
        d=database,
        q=query,
    )


words = st.one_of(
    st.sampled_from(
        [
            "upgrade",
            "downgrade",
            "--json",
            "--wait",
            "0",
            "1s",
            "--lock-timeout",
            "-1",
            "+1",
            "head",
            "heads",
            "base",
            "--repair",
        ]
        + [
            "--sql",
            "--log",
            "/nowhere/x.log",
            "-c",
            "nosuch.ini",
            "--url",
            f"postgresql://u:{HEAD}@127.0.0.1:1/db",
            "-x",
            "a=b",
        ]
        + [
            "--accept-loss",
            "3",
            "--export",
            "f1",
            "f1:f2",
            "--statement-timeout",
            "--debug2",
            "--",
            "f2",
            "-h",
            "--help",
        ]
        + [
            "--scratch",
            f"postgresql://u:{HEAD}@127.0.0.1:1/s",
            "--version",
            "--accept-unknown-loss",
            "1e9",
            "\u0661s",
            "--dry-run",
        ]
    ),
    st.text(max_size=12).filter(lambda text: "\x00" not in text),
)


@pytest.fixture(scope="module")
def ini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("fuzz")
    return write_project(directory, [Revision("f1", "pass"), Revision("f2", "pass")])


@pytest.fixture(autouse=True)
def back_again() -> Iterator[None]:
    """Airlock stands in the ini's directory while it runs; pytest does not."""
    before = os.getcwd()  # noqa: PTH109
    yield
    os.chdir(before)


def run(argv: list[str], url: str) -> tuple[int, str, str]:
    """Run a command line in this process, with nothing remembered of the one before."""
    out, err = io.StringIO(), io.StringIO()
    secrets._known.clear()
    environ = {"DATABASE_URL": url, "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    with (
        mock.patch.dict(os.environ, environ, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = cli.main(argv)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return code, out.getvalue(), err.getvalue()


def hold(code: int, out: str, err: str) -> None:
    assert code in CODES, (code, err)
    said = out + err
    assert "Traceback" not in said
    assert "S3cr3t" not in said, said
    lines = [line for line in err.splitlines() if line.startswith("airlock: ")]
    assert len(lines) == (1 if code else 0), err


@pytest.mark.proof
@settings(SETTINGS, max_examples=1000)
@given(url=urls())
@example(url=f"postgresql://u:{HEAD}@{TAIL}@127.0.0.1:1/db")
@example(url=f"postgresql://u:{HEAD}/{TAIL}@127.0.0.1:1/db")
@example(url=f"postgresql://u:{HEAD}%zz{TAIL}@127.0.0.1:1/db")
def test_a_thousand_urls(url: str, ini: Path) -> None:
    """Whatever DATABASE_URL holds, the answer is a line about it, not of it."""
    if "\x00" in url:
        return
    code, out, err = run(["upgrade", "-c", str(ini), "--json"], url)
    assert code != 0
    hold(code, out, err)


@pytest.mark.proof
@settings(SETTINGS, max_examples=300)
@given(argv=st.lists(words, max_size=8), command=st.sampled_from(["upgrade", "downgrade", "status", None]))
def test_three_hundred_command_lines(argv: list[str], command: str | None, ini: Path) -> None:
    """Whatever is asked, the answer is a line and a documented code."""
    line = [command, "-c", str(ini), *argv] if command is not None else argv
    hold(*run(line, f"postgresql://u:{HEAD}@127.0.0.1:1/db"))


@pytest.mark.proof
def test_thirty_of_them_as_processes(ini: Path) -> None:
    """The same through the interpreter's own start and end."""
    found: list[str] = []

    @settings(SETTINGS, max_examples=30)
    @given(url=urls())
    def collect(url: str) -> None:
        found.append(url)

    collect()
    for url in found[:30]:
        ran = airlock(ini, "upgrade", url=url)
        hold(ran.code, ran.out, ran.err)
