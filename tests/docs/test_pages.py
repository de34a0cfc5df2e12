"""The pages keep up with the code: options, exit codes, links."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airlock import cli
from airlock.records import errors
from tests.history import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("[A-Z]*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def options(command: str) -> set[str]:
    """Read a command's long options from its parser, and from those of its acts where it has some."""
    (commands,) = acts(cli.parser(command))
    parser = commands.choices[command]
    parsers = [parser, *(one for action in acts(parser) for one in action.choices.values())]
    return {
        name
        for one in parsers
        for action in one._actions
        for name in action.option_strings
        if name.startswith("--")
    } - {"--help"}


def acts(parser: argparse.ArgumentParser) -> list[argparse._SubParsersAction[argparse.ArgumentParser]]:
    """Read the words that a parser hands over to another one."""
    return [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]


def sections(text: str) -> dict[str, str]:
    """Split a page at its second-level headings; what stands before the first is ''."""
    first, *others = re.split(r"^## ", text, flags=re.MULTILINE)
    return {"": first, **{one.partition("\n")[0].strip(): one for one in others}}


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option_of_a_command_is_on_its_page(command: str) -> None:
    """An option that is added and not described, and one that is described and gone."""
    page = sections((ROOT / "docs/commands.md").read_text())
    described = set(re.findall(r"--[a-z][a-z-]+", page[command]))
    # --config is said with its short name, for all.
    common = set(re.findall(r"--[a-z][a-z-]+", page[""])) | {"--config"}
    there = options(command)
    assert there - common <= described
    assert set(re.findall(r"(?<!airlock )`(--[a-z][a-z-]+)", page[command])) <= there


def test_the_exit_codes_are_those_of_the_errors() -> None:
    """Each class of the tree, with its code, and no other."""
    page = (ROOT / "docs/exit-codes.md").read_text()
    shown = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `(\w+)`", page, re.MULTILINE)}
    classes = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type)
        and issubclass(kind, errors.AirlockError)
        and name not in {"AirlockError", "Interrupted"}
    }
    assert shown == classes


def links(page: Path) -> Iterator[Path]:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            yield (page.parent / target).resolve()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """No link of a page is broken."""
    assert [target for target in links(page) if not target.exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    """A page that nothing links to is read by nobody."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md" and page.is_file():
            seen.add(page)
            waiting += links(page)
    assert set((ROOT / "docs").rglob("*.md")) <= seen
