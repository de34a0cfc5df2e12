"""Say whether a history is fit to be deployed: read its files, compare it with the models, trace and drill it."""

from __future__ import annotations

import ast
import concurrent.futures
import re
import sys
import time
from typing import TYPE_CHECKING

from airlock.operations.built import built
from airlock.operations.drill import drill
from airlock.operations.revision.parent import compared
from airlock.operations.revision.rendering import open_questions
from airlock.operations.trace import trace
from airlock.records.check import CheckReport, Fault
from airlock.records.drill import PROVED, REFUSED
from airlock.records.errors import AirlockError
from airlock.scratch.isolation import isolated
from airlock.scratch.loading import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from airlock.project.project import Project, RevisionFacts

ROWS = 1_000
_ANSWERS = ("Why", "Locks", "Undo")
_ALLOWED = sys.stdlib_module_names | {"alembic", "sqlalchemy"}


def check(
    config: Path,
    *,
    scratch: str = "embedded",
    rows: int = ROWS,
    x_arguments: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> CheckReport:
    """Ask the gate's questions of the whole history. Writes nothing, contacts no target, needs no Docker.

    What cannot be looked at (no scratch server, models that cannot be created) is said, not passed.
    """
    began = time.perf_counter()
    project = opened(config, x_arguments)
    faults = [*_heads(project)]
    for facts in project.revisions():
        faults += read(facts)
    run = _Run(config, scratch, rows, tuple(x_arguments), project, progress)
    if len(project.heads) <= 1:
        # Two cores: the trace and the drill wait for their servers most of the time.
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(run.part, name, ask) for name, ask in run.questions()]
            for one in waiting:
                faults += one.result()
    else:
        run.unseen.append("models, trace and drill: the history has no single head")
    return CheckReport(
        run.server_version, len(project.revisions()), tuple(sorted(faults)), tuple(sorted(run.unseen)),
        tuple(sorted(run.excused)), (time.perf_counter() - began) * 1000, run.parts_ms,
    )  # fmt: skip


def read(facts: RevisionFacts) -> Iterator[Fault]:
    """Read one revision's file: its imports, its docstring, what was left to fill in. Runs nothing."""
    path, text = str(facts.path), facts.path.read_text()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for name in _imported(node):
            if name.partition(".")[0] not in _ALLOWED:
                yield Fault(
                    path, getattr(node, "lineno", 1), "imports", f"imports {name}: a revision outlives it"
                )
    documentation = ast.get_docstring(tree) or ""
    for word in _ANSWERS:
        answer = re.search(rf"^{word}:\s*(.*)", documentation, re.MULTILINE)
        if answer is None:
            yield Fault(path, 1, "docstring", f"does not answer {word}:")
        elif answer.group(1).strip(" .").upper() in {"", "TODO"}:
            yield Fault(path, 1, "docstring", f"answers {word}: with TODO")
    lines = text.splitlines()
    for question in open_questions(text):
        place = next(number for number, line in enumerate(lines, start=1) if question in line)
        yield Fault(path, place, "fill in", question)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")] if node.level else [node.module or ""]
    return []


def _heads(project: Project) -> Iterator[Fault]:
    heads = project.heads
    if len(heads) > 1:
        yield Fault(
            str(project.script.versions), 1, "heads",
            f"has {len(heads)} heads ({', '.join(heads)}): alembic merge -m Merge {' '.join(heads)}",
        )  # fmt: skip


class _Run:
    """The questions that need a server, and what they leave behind."""

    def __init__(
        self, config: Path, scratch: str, rows: int, x_arguments: tuple[str, ...], project: Project,
        progress: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.config = config
        self.scratch = scratch
        self.rows = rows
        self.x_arguments = x_arguments
        self.paths = {facts.revision: str(facts.path) for facts in project.revisions()}
        self.versions = str(project.script.versions)
        self.heads = project.heads
        self.progress = progress
        self.unseen: list[str] = []
        self.excused: list[str] = []
        self.parts_ms: dict[str, float] = {}
        self.server_version = ""

    def questions(self) -> tuple[tuple[str, Callable[[], Iterator[Fault]]], ...]:
        return ("drill", self.proved), ("models", self.models), ("trace", self.safe)

    def part(self, name: str, ask: Callable[[], Iterator[Fault]]) -> list[Fault]:
        began = time.perf_counter()
        self.progress(name)
        try:
            return list(ask())
        except AirlockError as error:
            self.unseen.append(f"{name}: {error}")
            return []
        finally:
            self.parts_ms[name] = (time.perf_counter() - began) * 1000

    def models(self) -> Iterator[Fault]:
        """Ask whether the history leads to the models: nothing would be written, and the catalogues are the same."""
        with built(self.config, self.x_arguments, self.heads, scratch=self.scratch, like_major=None) as (
            server,
            database,
            history,
        ):
            arguments = {"config": str(self.config), "x_arguments": self.x_arguments, "upgrade": False}
            (found,) = isolated("airlock.operations.revision.child:compare", arguments, scratch=database)
            for what in found.what:
                yield Fault(self.versions, 1, "models", f"the models want more: {what}: airlock revision")
            for one in compared(self.config, self.x_arguments, server, database, history):
                if not one.is_note:
                    text = f"{one.object}: {one.kind}: the models make {one.before or 'none'}, the history {one.after or 'none'}"
                    yield Fault(self.versions, 1, "models", text)

    def safe(self) -> Iterator[Fault]:
        """Ask whether no statement is dangerous, but where its revision says why."""
        report = trace(self.config, scratch=self.scratch, rows=self.rows, x_arguments=self.x_arguments)
        self.server_version = report.server_version
        for step, statement in report.dangerous:
            for finding in statement.findings:
                reason = step.accepted.get(finding) or step.accepted.get(finding.partition(" ")[0])
                if reason:
                    self.excused.append(f"{step.revision} ({step.direction}) {finding}: {reason}")
                    continue
                yield Fault(
                    self.paths.get(step.revision, statement.file), statement.line, "danger",
                    f"{finding} while others wait ({step.direction}): rewrite it, or say why: accepted = {{{finding!r}: …}}",
                )  # fmt: skip
        self.unseen += [f"trace of {one.table}: {one.reason}" for one in report.unfilled]
        self.unseen += [f"trace of {said}" for said in report.unexamined]

    def proved(self) -> Iterator[Fault]:
        """Ask whether every revision's downgrade is proved."""
        report = drill(self.config, scratch=self.scratch, x_arguments=self.x_arguments)
        self.server_version = report.server_version
        for proof in report.revisions:
            if proof.verdict == REFUSED:
                yield Fault(
                    self.paths.get(proof.revision, ""),
                    1,
                    "proof",
                    f"its downgrade is refused: {proof.reason}",
                )
            elif proof.verdict != PROVED:
                self.unseen.append(f"drill of {proof.revision}: {proof.reason}")
