"""Every command and output that README and docs show is what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs import shown
from tests.history import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database


@pytest.mark.parametrize("page", shown.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_happens(page: Path, tmp_path: Path, empty_database: Database) -> None:
    """Each command is run, in order; a page that shows nothing is not among them."""
    for one in shown.read(page.read_text()):
        directory = shown.prepare(one.place, tmp_path, empty_database.url)
        printed = shown.run(one.command, directory, shown.environment(empty_database.url))
        assert shown.fits(one.output, printed), "\n".join((f"$ {one.command}", *printed))


def test_a_page_that_shows_commands_says_where_they_run() -> None:
    """A `console` block without a place would be run by nobody."""
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = page.read_text()
        assert text.count("```console") == len(shown.BLOCK.findall(text)), page


def test_the_comparison_can_fail() -> None:
    """Masks hide numbers that differ from run to run, and nothing else."""
    assert shown.fits(("base -> a: 3 revisions in 24 ms",), ("base -> a: 3 revisions in 1.4 s",))
    assert not shown.fits(("base -> a: 3 revisions in 24 ms",), ("base -> a: 2 revisions in 24 ms",))
    assert shown.fits(("first", "…", "last"), ("first", "between", "more", "last"))
    assert not shown.fits(("first", "…", "last"), ("first", "between"))
    assert shown.fits(("a long …",), ("a long line that goes on",))
    assert not shown.fits((), ("something",))
    assert not shown.fits(("something",), ())


def test_a_page_is_read_into_commands() -> None:
    """Two commands of one block, each with its output."""
    text = "<!-- shown: the shop -->\n```console\n$ one\nout\n$ two\n```\n"
    assert [(it.place, it.command, it.output) for it in shown.read(text)] == [
        ("the shop", "one", ("out",)), ("the shop", "two", ()),
    ]  # fmt: skip
