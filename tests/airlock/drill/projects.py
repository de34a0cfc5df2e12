"""Read tests/projects: tiny histories, each with one trait, and write them as real Alembic trees.

A project's first line is the verdict and what must be said; then sections of SQL, a statement a line. A line of a
section that begins with `+` stands in the faulty history only, one with `-` in its sound twin only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from tests.airlock.histories import HEADER, Revision, write_project

DIRECTORY = Path(__file__).parents[2] / "projects"
ENV = """
engine = create_engine(URL.replace("postgresql://", "postgresql+psycopg2://"), poolclass=pool.NullPool)
with engine.connect() as connection:
    {session}
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
# Options that env.py sets for its session.
SETTINGS = ("search_path", "default_transaction_isolation")


@dataclass(frozen=True)
class TinyProject:
    """One file: what is expected, and the SQL of its two revisions."""

    name: str
    verdict: str
    said: str
    sections: dict[str, list[str]] = field(hash=False)
    options: dict[str, str] = field(hash=False)

    @property
    def faulty_lines(self) -> int:
        """Count the lines that tell the faulty history from its twin."""
        return sum(line.startswith("+ ") for lines in self.sections.values() for line in lines)

    @property
    def sound_lines(self) -> int:
        """Count the lines that tell the twin from the faulty history."""
        return sum(line.startswith("- ") for lines in self.sections.values() for line in lines)

    def lines(self, section: str, *, sound: bool) -> list[str]:
        """Give a section as one of the twins has it."""
        mine, other = ("- ", "+ ") if sound else ("+ ", "- ")
        return [line.removeprefix(mine) for line in self.sections[section] if not line.startswith(other)]

    def write(self, directory: Path, *, sound: bool) -> Path:
        """Write the Alembic tree of one of the twins; return its ini."""
        kept = self.options.get("kept")
        revisions = [
            Revision(
                "base_tables",
                _body(self.lines("base", sound=sound)),
                "raise NotImplementedError('the base of a test')",
            ),
            Revision(
                "the_trait",
                _body(self.lines("up", sound=sound), autocommit="autocommit" in self.options),
                _body(self.lines("down", sound=sound), autocommit="autocommit" in self.options),
                title=self.name.replace("_", " ").capitalize(),
                extra=f"kept = {json.loads(kept)!r}" if kept else "",
            ),
        ]
        session = [
            f'connection.exec_driver_sql("SET {name} = {self.options[name]}"); connection.commit()'
            for name in SETTINGS
            if name in self.options
        ]
        return write_project(
            directory, revisions, env=HEADER + ENV.format(session="; ".join(session) or "pass")
        )


def _body(statements: list[str], *, autocommit: bool = False) -> str:
    calls = [f"op.get_bind().exec_driver_sql({statement.replace('%', '%%')!r})" for statement in statements]
    if autocommit:
        return "with op.get_context().autocommit_block():\n" + "\n".join(f"    {call}" for call in calls)
    return "\n".join(calls)


def _read(path: Path) -> TinyProject:
    sections: dict[str, list[str]] = {}
    options: dict[str, str] = {}
    first, *rest = path.read_text().splitlines()
    verdict, _, said = first.partition(": ")
    section = None
    for line in rest:
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif section is not None:
            section.append(line)
        else:
            name, _, value = line.partition(": ")
            options[name] = value
    return TinyProject(path.stem, verdict, said, sections, options)


PROJECTS = tuple(_read(path) for path in sorted(DIRECTORY.glob("*.project")))
FAULTY = tuple(project for project in PROJECTS if project.verdict == "refused")
SOUND = tuple(project for project in PROJECTS if project.verdict == "proved")
# Sound, but a statement of theirs meets no sample row: an honest drill does not call them proved.
UNMET = tuple(project for project in PROJECTS if project.verdict == "not examined")
