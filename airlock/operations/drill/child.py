"""The child's side of a drill: every revision up, written to, down, and up again, compared at each turn."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airlock import samples
from airlock.catalogue.fingerprint.model import plain
from airlock.database.missing_settings import missing_setting
from airlock.operations.drill import failures
from airlock.operations.drill.json_shapes import Shapes
from airlock.operations.drill.messages import Ascent, At, Climbed, Finished, Options, WantsShared
from airlock.operations.drill.missing_objects import advice
from airlock.operations.drill.only_upgraded import MissingShared, ascend
from airlock.operations.drill.order import chosen, laid_out
from airlock.operations.drill.phases.examination import examine
from airlock.operations.drill.state import Ledger
from airlock.operations.drill.subject import Subject
from airlock.project import environment
from airlock.project.environment import Hooks
from airlock.project.project import Project
from airlock.records.drill import DrillProgress, RevisionProof
from airlock.records.errors import MISSING_MODULE, NotExamined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.runtime.migration import MigrationContext

    from airlock.operations.drill.state import State
    from airlock.project.project import RevisionFacts
    from airlock.scratch.servers import ScratchDatabase


class _Lay(Hooks):
    """Keep what env.py lays down before the first revision: its schema and its version table."""

    def start(self, context: MigrationContext, _heads: tuple[str, ...]) -> None:
        environment.commit_what_is_open(context)


@dataclass
class _Place:
    """One scratch database on its way up, and what is known of it."""

    project: Project
    order: tuple[RevisionFacts, ...]
    ledger: Ledger
    state: State
    way: Ascent
    # How often env.py runs the migrations: of the first is what is said.
    turns: int = 1

    @classmethod
    def open(
        cls, project: Project, order: tuple[RevisionFacts, ...], database: ScratchDatabase, rows: int,
        made: dict[str, str], way: Ascent,
    ) -> _Place:  # fmt: skip
        """Connect, lay what env.py lays where the database is empty, and fill that. Raises what env.py raises."""
        ran = environment.run(project, None, "up", Hooks() if way.stands else _Lay())
        label = f"{plain(ran.version_table_schema or 'public')}.{plain(ran.version_table)}"
        ledger = Ledger.open(database, label, rows)
        ledger.search_path, ledger.made, ledger.fills = way.search_path, dict(made), dict(way.fills)
        sources = [one.path.read_text() for one in project.revisions()]
        ledger.edges = {
            **samples.odd_hours(ledger.reading, samples.zones_named(sources)),
            **samples.longer_than(sources),
        }
        ledger.shapes = Shapes(tuple(sources))
        state = ledger.read()
        named = [name for name in state.tables() if name.endswith(f".{plain(ran.version_table)}")]
        if label not in named and len(named) == 1:
            ledger.version_table = named[0]  # the search_path put it elsewhere than in public
            state = ledger.read()
        if state.digests and not way.stands:
            ledger.fill(state.tables())
            state = ledger.read()
        return cls(project, order, ledger, state, way, ran.turns)

    def climb(self, place: int) -> None:
        """Apply the revision at a place of the order, unexamined. Raises MissingShared."""
        self.state, gap = ascend(self.project, self.order[place], self.ledger, self.state, self.way)
        gaps = (*self.way.gaps, gap) if gap is not None else self.way.gaps
        self.way = self.way.at(place + 1, self.ledger.fills, self.ledger.search_path, gaps)


def prove(
    config: str,
    x_arguments: Sequence[str],
    from_to: str | None,
    last: int | None,
    start: tuple[str, ...] | None,
    position: int,
    database: ScratchDatabase,
    options: Options,
    made: dict[str, str],
    way: Ascent | None = None,
    end: int | None = None,
) -> Iterator[DrillProgress | RevisionProof | At | WantsShared | Finished]:
    """Examine the revisions of a range from `position` to `end`, in a database that has come so far a `way`.

    Runs in an isolated child.
    """
    try:
        here, examined = _opened(
            Path(config), x_arguments, (from_to, last, start), database, options.rows, made, way or Ascent()
        )
    except MissingShared as missing:
        yield WantsShared(missing.lacks, position)
        return
    try:
        yield from _examine(here, examined, position, end, options)
    finally:
        here.ledger.close()


def _examine(
    here: _Place, examined: frozenset[str], position: int, end: int | None, options: Options
) -> Iterator[DrillProgress | RevisionProof | At | WantsShared | Finished]:
    numbers = [place for place, one in enumerate(here.order) if one.revision in examined]
    # Clients, and backends that a cut step leaves behind, are at work between two looks.
    here.ledger.alone = not (options.traffic or options.crash)
    for place in range(here.way.stands, len(here.order)):
        facts = here.order[place]
        if place < numbers[position] or facts.revision not in examined:
            yield At(place)
            yield DrillProgress(position, len(numbers), facts.revision, "building")
            try:
                here.climb(place)
            except MissingShared as missing:
                yield WantsShared(missing.lacks, position)
                return
            continue
        subject = Subject(
            here.project, facts, here.ledger, options, position + 1, here.way.gaps, here.way.beyond_help
        )
        for one in examine(subject, here.state):
            if isinstance(one, str):
                yield DrillProgress(position + 1, len(numbers), facts.revision, one)
            elif one.wants is not None:
                yield WantsShared(one.wants, position)
                return
            else:
                yield one.proof if here.turns == 1 else _of_the_first(one.proof, here.turns)
                here.state, fit = one.state, one.fit
        position += 1
        if position == (len(numbers) if end is None else end):
            break
        if not fit:
            yield _finished(here.ledger, position)
            return
    yield _finished(here.ledger)


def _of_the_first(proof: RevisionProof, turns: int) -> RevisionProof:
    note = f"env.py runs the migrations {turns} times: this is said of the first"
    return replace(proof, notes=(*proof.notes, note))


def climb(
    config: str,
    x_arguments: Sequence[str],
    from_to: str | None,
    last: int | None,
    start: tuple[str, ...] | None,
    position: int,
    database: ScratchDatabase,
    options: Options,
    made: dict[str, str],
    way: Ascent,
) -> Iterator[DrillProgress | At | WantsShared | Climbed]:
    """Bring a database to where the revision at `position` of the range is examined. Runs in an isolated child."""
    try:
        here, examined = _opened(
            Path(config), x_arguments, (from_to, last, start), database, options.rows, made, way
        )
    except MissingShared as missing:
        yield WantsShared(missing.lacks, position)
        return
    numbers = [place for place, one in enumerate(here.order) if one.revision in examined]
    try:
        for place in range(way.stands, numbers[position]):
            yield At(place)
            yield DrillProgress(position, len(numbers), here.order[place].revision, "building")
            try:
                here.climb(place)
            except MissingShared as missing:
                yield Climbed(here.way)
                yield WantsShared(missing.lacks, position)
                return
        yield Climbed(here.way)
    finally:
        here.ledger.close()


def _opened(
    config: Path, x_arguments: Sequence[str], asked: tuple[str | None, int | None, tuple[str, ...] | None],
    database: ScratchDatabase, rows: int, made: dict[str, str], way: Ascent,
) -> tuple[_Place, frozenset[str]]:  # fmt: skip
    """Open the project on a database that has come so far a way; `asked` is the range, its last so many, a target's heads.

    Returns the place and the revisions that are examined. Raises MissingShared and MissingSetting, else NotExamined for what
    env.py raises.
    """
    # Alembic would announce every step: three times each would bury the progress line.
    logging.disable(logging.INFO)
    project = Project.open(config, x_arguments)
    order, examined = laid_out(project, *asked)
    try:
        return _Place.open(project, order, database, rows, made, way), examined
    except Exception as error:
        unset = missing_setting(error)
        if unset is not None:
            raise unset from error
        lacks = failures.missing_shared(error)
        if lacks is None:
            said = f"{failures.one_line(error)}{advice(error)}"
            then = MISSING_MODULE if isinstance(error, ModuleNotFoundError) else ""
            if way.stands:
                # It ran on an empty one: an application that it loads may read its settings there, and take one row alone.
                raise NotExamined(
                    f"env.py does not run on a database that has tables and sample rows, at {order[way.stands - 1].revision}:"
                    f" {said}",
                    then="rows that it takes, in tests/rows/<schema>.<table>.sql",
                ) from error
            raise NotExamined(f"The history does not build in scratch: {said}", then=then) from error
        raise MissingShared(lacks) from error


def _finished(ledger: Ledger, position: int | None = None) -> Finished:
    rates = tuple(sorted(ledger.rates.values()))
    return Finished(tuple(sorted(ledger.fills.values())), ledger.rows_made, ledger.fill_ms, rates, position)


__all__ = ["At", "Climbed", "Finished", "WantsShared", "chosen", "climb", "prove"]
