"""Say whether a history is fit to be deployed: read its files, compare it with the models, trace and drill it."""

from __future__ import annotations

import ast
import functools
import hashlib
import itertools
import re
import sys
import time
from typing import TYPE_CHECKING

from airlock.database.missing_settings import MissingSetting
from airlock.operations.built import answers, built
from airlock.operations.drill import drill
from airlock.operations.drill.side_by_side import at_once
from airlock.operations.revision.comparison import compared
from airlock.operations.revision.written.questions import open_questions
from airlock.operations.trace import trace
from airlock.project.settings import Settings
from airlock.records.check import CheckReport, Fault
from airlock.records.drill import PROVED, REFUSED
from airlock.records.errors import AirlockError, RevisionFailed, Usage
from airlock.scratch.isolation import Children, prepare
from airlock.scratch.loading import opened
from airlock.scratch.spare_servers import serving_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from airlock.project.project import Project, RevisionFacts

ROWS = 1_000
_CHILDREN = (
    "airlock.operations.drill.child",
    "airlock.operations.trace.child",
    "airlock.operations.revision.child",
)
# What a line of a baseline begins with that is a difference from the models, not a revision.
_MODELS = "models:"
_ANSWERS = ("Why", "Locks", "Undo")
_OF_THE_HISTORY = ("heads", "models")
_ALLOWED = sys.stdlib_module_names | {"alembic", "sqlalchemy"}


def check(
    config: Path,
    *,
    scratch: str = "embedded",
    rows: int = ROWS,
    x_arguments: Sequence[str] = (),
    settings: Settings | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> CheckReport:
    """Ask the gate's questions of the whole history. Writes nothing, contacts no target, needs no Docker.

    `settings` say which rules count (None: those on by default), which revisions are known already, and which
    findings are accepted. What cannot be looked at (no scratch server, models that cannot be created) is said, not passed.
    """
    began = time.perf_counter()
    settings = settings or Settings()
    # One for all three questions.
    prepare(*_CHILDREN)
    project = opened(config, x_arguments)
    every = project.revisions()
    known = known_revisions(project, settings)
    rules = tuple(name for name, wanted in settings.rules.items() if wanted)
    if every and len(known) == len(every):
        # No revision is left to ask the others of: what nobody asked has not been shown.
        rules = tuple(name for name in rules if name in _OF_THE_HISTORY)
    faults = [*_heads(project)] if settings.rules["heads"] else []
    for facts in every:
        if facts.revision not in known:
            faults += [one for one in read(facts) if settings.rules[one.question]]
    run = _Run(config, scratch, rows, tuple(x_arguments), project, progress, _span(every, known), known)
    asked = [(name, ask) for name, rule, ask in run.questions() if rule in rules]
    if len(project.heads) <= 1 or not settings.rules["heads"]:
        # Two cores: the trace and the drill wait for their servers most of the time.
        with serving_on():
            for found in at_once([functools.partial(run.part, *one) for one in asked], Children(), 2):
                faults += found
    else:
        run.unseen.append("models, trace and drill: the history has no single head")
    faults = [one for one in faults if run.revision_at(one.path) not in known]
    if settings.baseline is not None and (listed := _listed_differences(settings.baseline)):
        faults = [one for one in faults if one.question != "models" or one.text not in listed]
    faults = run.without_accepted(faults, settings)
    return CheckReport(
        run.server_version, len(every), tuple(sorted(faults)), tuple(sorted(run.unseen)),
        tuple(sorted(run.excused)), (time.perf_counter() - began) * 1000, run.parts_ms, rules, len(known),
    )  # fmt: skip


def known_revisions(project: Project, settings: Settings) -> frozenset[str]:
    """Name the revisions that are not judged: up to and with `since`, and those of the baseline that are as they were.

    Raises Usage where there is no such revision, or no such file.
    """
    known: set[str] = set()
    if settings.since is not None:
        try:
            known |= {one.revision for one in project.revisions(f"base:{settings.since}")}
        except AirlockError as error:
            raise Usage(
                f"since names no revision of this history: {settings.since}.",
                then="--since with one that `alembic history` lists, or take the line out of the settings",
            ) from error
    if settings.baseline is not None:
        listed = _baseline(settings.baseline)
        known |= {
            one.revision for one in project.revisions()
            if one.revision in listed and listed[one.revision] in {"", _digest(one)}
        }  # fmt: skip
    return frozenset(known)


def baseline_lines(project: Project) -> list[str]:
    """Spell a baseline of every revision there is: its id, a digest of its file, its title."""
    return [f"{one.revision} {_digest(one)}  # {one.title}" for one in project.revisions()]


def model_lines(
    config: Path,
    *,
    scratch: str = "embedded",
    x_arguments: Sequence[str] = (),
    settings: Settings | None = None,
) -> list[str]:
    """Spell the lines of a baseline for what history and models differ by today; compares them in scratch.

    Empty where that is not asked for. Raises AirlockError where it cannot be seen.
    """
    settings = settings or Settings()
    project = opened(config, x_arguments)
    if not settings.rules["models"] or len(project.heads) != 1:
        return []
    prepare(*_CHILDREN)
    run = _Run(config, scratch, ROWS, tuple(x_arguments), project, lambda _: None, None, frozenset())
    return sorted(f"{_MODELS} {one.text}" for one in run.models())


def _listed_differences(file: Path) -> frozenset[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return frozenset(line.removeprefix(f"{_MODELS} ") for line in lines if line.startswith(f"{_MODELS} "))


def _baseline(file: Path) -> dict[str, str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise Usage(
            f"There is no baseline at {file.name}.", then=f"airlock check --write-baseline {file.name}"
        ) from None
    words = [line.partition("#")[0].split() for line in text.splitlines()]
    return {one[0]: one[1] if len(one) > 1 else "" for one in words if one}


def _digest(facts: RevisionFacts) -> str:
    return hashlib.sha256(facts.path.read_bytes()).hexdigest()[:16]


def _span(every: Sequence[RevisionFacts], known: frozenset[str]) -> str | None:
    """Give the range that leaves out what is known, where that is the lower end of a straight chain; else None, for all."""
    first = next((place for place, one in enumerate(every) if one.revision not in known), 0)
    chain = all(
        one.down_revisions == (before.revision,) and not one.depends_on
        for before, one in itertools.pairwise(every)
    )
    if not first or not chain or any(one.revision in known for one in every[first:]):
        return None
    return f"{every[first - 1].revision}:{every[-1].revision}"


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


def _unqualified(named: str) -> list[str]:
    """Take kind and schema from what a difference names: table and column of `public.customer.title`."""
    found = re.search(r"\S+?\.(\S+)", named)
    return found[1].split(".") if found else [named]


def _heads(project: Project) -> Iterator[Fault]:
    heads = project.heads
    if len(heads) > 1:
        yield Fault(
            project.versions, 1, "heads",
            f"has {len(heads)} heads ({', '.join(heads)}): alembic merge -m Merge {' '.join(heads)}",
        )  # fmt: skip


class _Run:
    """The questions that need a server, and what they leave behind."""

    def __init__(
        self, config: Path, scratch: str, rows: int, x_arguments: tuple[str, ...], project: Project,
        progress: Callable[[str], None], span: str | None, known: frozenset[str],
    ) -> None:  # fmt: skip
        self.config = config
        self.scratch = scratch
        self.rows = rows
        self.x_arguments = x_arguments
        self.paths = {facts.revision: str(facts.path) for facts in project.revisions()}
        self.below = {facts.revision: facts.down_revisions for facts in project.revisions()}
        self.versions = project.versions
        self.heads = project.heads
        self.progress = progress
        self.span = span
        self.known = known
        self.revisions = {str(facts.path): facts.revision for facts in project.revisions()}
        self.unseen: list[str] = []
        self.excused: list[str] = []
        self.parts_ms: dict[str, float] = {}
        self.server_version = ""

    def questions(self) -> tuple[tuple[str, str, Callable[[], Iterator[Fault]]], ...]:
        return (
            ("drill", "proof", self.proved), ("models", "models", self.models), ("trace", "danger", self.safe),
        )  # fmt: skip

    def revision_at(self, path: str) -> str | None:
        return self.revisions.get(path)

    def without_accepted(self, faults: list[Fault], settings: Settings) -> list[Fault]:
        """Take out what the settings give a reason for by the rule's name; findings have been asked for theirs."""
        left = []
        for one in faults:
            reason = settings.reasons(self.revision_at(one.path) or "").get(one.question)
            if reason is None:
                left.append(one)
            else:
                self.excused.append(f"{self.revision_at(one.path)} {one.question}: {reason}")
        return left

    def part(self, name: str, ask: Callable[[], Iterator[Fault]]) -> list[Fault]:
        began = time.perf_counter()
        self.progress(name)
        try:
            return list(ask())
        except MissingSetting:
            raise
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
            (found,) = answers(server, database, "airlock.operations.revision.child:compare", arguments)
            self.unseen += [f"models: {one}" for one in found.unmade]
            differ = [
                one
                for one in compared(self.config, self.x_arguments, server, database, history, found.left_out)
                if not one.is_note
            ]
            # Each step of a change that is named below would tell it once more: a wider column takes ten.
            names = {name for one in differ for name in _unqualified(one.object)}
            for what in found.what:
                if names.isdisjoint(re.split(r"[\s.]", what)):
                    yield Fault(self.versions, 1, "models", f"the models want more: {what}: airlock revision")
            for one in differ:
                text = f"{one.object}: {one.kind}: the models make {one.before or 'none'}, the history {one.after or 'none'}"
                yield Fault(self.versions, 1, "models", text)

    def safe(self) -> Iterator[Fault]:
        """Ask whether no statement is dangerous, but where its revision says why."""
        try:
            report = trace(
                self.config,
                from_to=self.span,
                scratch=self.scratch,
                rows=self.rows,
                x_arguments=self.x_arguments,
            )
        except RevisionFailed as error:
            if error.seen is None:
                raise
            # Its failure is among what was not seen; the others were.
            report = error.seen
        self.server_version = report.server_version
        for step, statement in report.dangerous:
            excuses = step.excuses(statement)
            for finding in statement.findings:
                if reason := excuses.get(finding):
                    self.excused.append(f"{step.revision} ({step.direction}) {finding}: {reason}")
                    continue
                yield Fault(
                    self.paths.get(step.revision, statement.file), statement.line, "danger",
                    f"{finding} while others wait ({step.direction}): rewrite it, or say why: accepted = {{{finding!r}: …}}",
                )  # fmt: skip
        self.unseen += [f"trace of {one.table}: {one.reason}" for one in report.unfilled]
        self.unseen += [
            f"trace of {said}" for said in report.unexamined if said.partition(" ")[0] not in self.known
        ]

    def proved(self) -> Iterator[Fault]:
        """Ask whether every revision's downgrade is proved."""
        report = drill(self.config, from_to=self.span, scratch=self.scratch, x_arguments=self.x_arguments)
        self.server_version = report.server_version
        for proof in report.revisions:
            if proof.verdict == REFUSED:
                below = (*self.below.get(proof.revision, ()), "base")[0]
                yield Fault(
                    self.paths.get(proof.revision, ""),
                    1,
                    "proof",
                    f"its downgrade is refused: {proof.reason} (airlock drill {below}:{proof.revision})",
                )
            elif proof.verdict != PROVED and proof.revision not in self.known:
                self.unseen.append(f"drill of {proof.revision}: {proof.reason}")
