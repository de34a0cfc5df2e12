"""Run the commands that a page shows, and compare what they print with what the page shows.

A block fenced as `console` under a comment `<!-- shown: PLACE -->` is run: each `$ ` line in the place named, the blocks
of a page one after the other on one database. Numbers, times and generated names are masked; a line of `…` stands for
any lines, `…` at a line's end for its rest. `python -m tests.docs.shown` writes the pages anew from what is printed.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.history import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BLOCK = re.compile(r"^<!-- shown: ([a-z ]+) -->\n```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What differs from run to run, and says nothing: times, sizes of a clock, versions, random names, addresses.
_MASKS = (
    (r"\x1b\[[0-9;]*[A-Za-z]", ""),
    (r"PostgreSQL \d+(\.\d+)?", "PostgreSQL #"),
    (r"[-+]?\d[\d,]*(\.\d+)? ?(ms|s|µs|min)\b", "#"),
    (r"/\S*/(the-)?shop/", "@/"),
    (r"\b\w+ (on a local socket|at [\w.]+)(:\d+)?", "@"),
    (r"[ \t]+", " "),
)


@dataclasses.dataclass(frozen=True)
class Shown:
    """One command and the output that a page shows under it."""

    place: str
    command: str
    output: tuple[str, ...]
    begin: int
    end: int


def read(text: str) -> Iterator[Shown]:
    """Yield each command of a page, with the place of its output in the text."""
    for block in BLOCK.finditer(text):
        offset = block.start(2)
        lines = block[2].splitlines(keepends=True)
        command, began = "", offset
        output: list[str] = []
        for line in [*lines, "$ "]:
            if line.startswith("$ "):
                if command:
                    yield Shown(block[1], command, tuple(output), began, offset)
                command, output, began = line[2:].strip(), [], offset + len(line)
            else:
                output.append(line.rstrip("\n"))
            offset += len(line)


def masked(line: str) -> str:
    """Replace what differs from run to run."""
    for pattern, instead in _MASKS:
        line = re.sub(pattern, instead, line)
    return line.rstrip()


def fits(shown: tuple[str, ...], printed: tuple[str, ...]) -> bool:
    """Tell whether a page's lines are what was printed."""
    if not shown:
        return not printed
    if shown[0].strip() == "…":
        return any(fits(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    if not printed:
        return False
    mine, theirs = masked(shown[0]), masked(printed[0])
    same = theirs.startswith(mine[:-1].rstrip()) if mine.endswith("…") else mine == theirs
    return same and fits(shown[1:], printed[1:])


def run(command: str, directory: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Run one shown command as a shell does, and give what a reader sees without the progress lines."""
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=directory, env=dict(environ), text=True, check=False, timeout=180,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    progress = re.compile(
        r"revision \d+ of \d+ |\w+ing .* \.\.\.$|Database: embedded| +[\d,]+ sample rows made"
    )
    return tuple(line for line in done.stdout.splitlines() if not progress.match(line))


def environment(url: str) -> dict[str, str]:
    """Give a reader's environment: the tools on the path, the database by name."""
    tools = str(Path(sys.executable).parent)
    return {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "DATABASE_URL": url, "COLUMNS": "80",
        # Other plugins of this suite's environment have warnings and a cache of their own.
        "PYTHONWARNINGS": "ignore", "PYTEST_ADDOPTS": "-p no:cacheprovider",
        **{name: value for name, value in os.environ.items() if name.startswith("AIRLOCK_")},
    }  # fmt: skip


def prepare(place: str, directory: Path, url: str) -> Path:
    """Make a place to run in: a copy of an example, or of this repository's history, as the comment names it."""
    name, _, with_what = place.partition(" with ")
    target = directory / name.replace(" ", "-")
    if not target.exists():
        source = ROOT if name == "this repository" else ROOT / "docs" / "examples" / name.removeprefix("the ")
        wanted = ("alembic", "alembic.ini", "app", "pyproject.toml") if source == ROOT else (".",)
        for part in wanted:
            if (source / part).is_dir():
                shutil.copytree(
                    source / part, target / part, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
                )  # fmt: skip
            else:
                shutil.copy(source / part, target)
    if with_what:
        _fill(with_what, target, url)
    return target


def _fill(what: str, directory: Path, url: str) -> None:
    assert what == "rows", what
    environ = environment(url)
    subprocess.run(
        ["airlock", "upgrade"], cwd=directory, env=environ, check=True, capture_output=True, timeout=120
    )
    from sqlalchemy import NullPool, create_engine

    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO customer (name) SELECT 'customer ' || n FROM generate_series(1, 10) n"
        )
        connection.exec_driver_sql(
            "INSERT INTO invoice (customer_id, cents, paid_at) SELECT 1 + mod(n, 10), n, now() FROM generate_series(1, 900) n"
        )


def pages() -> list[Path]:
    """Find the pages that show something."""
    return [
        page
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
        if BLOCK.search(page.read_text())
    ]


def rewrite(page: Path, directory: Path, url: str) -> None:
    """Write a page's outputs anew. Lines of `…` are lost: shorten by hand afterwards."""
    text = page.read_text()
    moved = 0
    for one in list(read(text)):
        printed = run(one.command, prepare(one.place, directory, url), environment(url))
        if fits(one.output, printed):
            continue
        fresh = "".join(f"{line}\n" for line in printed)
        text = text[: one.begin + moved] + fresh + text[one.end + moved :]
        moved += len(fresh) - (one.end - one.begin)
    page.write_text(text)


def main() -> None:
    """Write every page that shows something anew."""
    from tests import servers

    with servers.serve(servers.choose("embedded")) as server:
        for page in pages():
            with server.database("template0") as database, tempfile.TemporaryDirectory() as directory:
                rewrite(page, Path(directory), database.url)


if __name__ == "__main__":
    main()
