"""`airlock init`: say what was found of a project, and write a small section of settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.records.errors import Usage

if TYPE_CHECKING:
    import argparse

    from airlock.project.settings import Settings

SECTION = """
[tool.airlock]
# Options of the command line, for all commands that have them; docs/settings.md names the rest.
scratch = "{scratch}"
# `airlock check` judges the revisions after this one; take the line out to judge all.
since = "{since}"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "--dry-run", action="store_true", help="say what was found and what would be written; write nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Look at the project without running its env.py, print what was found, write the section where there is none."""
    from airlock.commands.answer import answer
    from airlock.drivers import client
    from airlock.project import layout
    from airlock.project.settings import OWN_FILE
    from airlock.scratch import embedded, installations
    from airlock.scratch.loading import opened

    project = opened(arguments.config, arguments.x, begun=False)
    before = [Path(arguments.before)] if arguments.before else []
    needed = installations.asked_for([*layout.version_directories(project), *before])
    scratch = installations.fitting(arguments.scratch, needed)
    servers = {major: installations.there(bindir) for major, bindir in sorted(embedded.available().items())}
    major = int(scratch.partition(":")[2] or max(servers, default=0)) if scratch.startswith("embedded") else 0
    missing = sorted(needed - servers.get(major, frozenset())) if major else []
    revisions = project.revisions()
    unread = project.unread()
    found = {
        "config": str(arguments.config),
        "env.py": layout.env_kind(project),
        "driver": ", ".join(layout.drivers(project)) or "not spelt",
        "airlock's driver": client.NAME,
        "variables": list(layout.variables(project)),
        "revisions": len(revisions),
        # Some are left out on purpose (squashed ones), some because only the project's program names their directories.
        **(
            {
                "not read": f"{len(unread)} more in {_places(unread, arguments.called_from)} (version_locations)"
            }
            if unread
            else {}
        ),
        "heads": list(project.heads),
        "extensions": sorted(needed - {installations.ICU}),
        "servers": [str(one) for one in servers],
        "scratch": scratch,
        "missing": {name: installations.line(name) for name in missing},
    }
    target, written = Path(OWN_FILE), "nothing: there are settings already"
    if arguments.settings.file is None:
        pyproject = Path("pyproject.toml")
        target = pyproject if pyproject.is_file() else Path(OWN_FILE)
        section = SECTION.format(scratch=scratch, since=project.heads[0] if project.heads else "")
        if not project.heads or len(project.heads) > 1:
            section = section.partition("# `airlock check`")[0]
        if target.name == OWN_FILE:
            section = section.replace("[tool.airlock]\n", "").lstrip("\n")
        # From where the user stands; this process stands where the project's paths count from.
        place = os.path.relpath(target.absolute(), arguments.called_from)
        written = f"{place}{' (not written: --dry-run)' if arguments.dry_run else ''}"
        if not arguments.dry_run:
            _append(target, section)
    found["written"] = written
    if len(project.heads) > 1 or arguments.settings.file is not None:
        found |= _judging(arguments.settings, project.heads)
    answer(arguments, found, _lines(found))
    return 0


def _judging(settings: Settings, heads: tuple[str, ...]) -> dict[str, str]:
    """Say how check judges new revisions only, where the settings do not and nothing was written that does."""
    if settings.since is not None or settings.baseline is not None or not heads:
        return {}
    # One revision is behind one of several heads, and the others' branches would be judged whole.
    line = (
        f'since = "{heads[0]}"'
        if len(heads) == 1
        else 'baseline = "FILE", of airlock check --write-baseline FILE'
    )
    return {"check": f"judges every revision; new ones alone with {line} in the settings"}


def _places(files: list[Path], start: Path) -> str:
    """Name the directory of some files, or the first of several."""
    places = sorted({os.path.relpath(file.parent.absolute(), start) for file in files})
    return places[0] + (f" and {len(places) - 1} other directories" if places[1:] else "")


def _append(target: Path, section: str) -> None:
    try:
        with target.open("a", encoding="utf-8") as stream:
            stream.write(section)
    except OSError as error:
        raise Usage(f"{target.name} cannot be written: {error.strerror}.") from error


def _lines(found: dict[str, object]) -> list[str]:
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines += [f"{'missing':<18}{one}: {line}" for one, line in value.items()]
        else:
            said = (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
            lines.append(f"{name:<18}{said}")
    return lines
