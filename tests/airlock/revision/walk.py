"""Walk one project of the matrix: what is written runs on rows, beside old and new code, and leads back."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from airlock.catalogue import fingerprint
from airlock.operations.trace import trace
from airlock.scratch.servers import ScratchDatabase, ScratchServer
from tests.airlock.revision.cells import KINDS, Place, models, numbered, row, tables_of
from tests.airlock.revision.harness import MAKO, Shop

ENV = """\
import os

import sqlalchemy as sa
from alembic import context

given = context.config.attributes
engine = given.get("engine")
if engine is None:
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=given.get("models"), include_schemas=True,
        transaction_per_migration=True, process_revision_directives=given.get("directives"),
    )
    with context.begin_transaction():
        context.run_migrations()
"""
# Where the numbers of rows that are there start, and of those that code writes meanwhile.
FIRST, MEANWHILE = 1, 1000


@dataclasses.dataclass
class Faults:
    """What went wrong, by kind; a whole project's under "all"."""

    found: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def __call__(self, name: str, text: str) -> None:
        told = self.found.setdefault(name, [])
        if len(told) < 4 and text not in told:
            told.append(text)


def start(directory: Path) -> Path:
    """Write the project without a revision."""
    scripts = directory / "alembic"
    (scripts / "versions").mkdir(parents=True)
    (directory / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/alembic\nfile_template = %%(epoch)s_%%(rev)s\n"
    )
    (scripts / "env.py").write_text(ENV)
    (scripts / "script.py.mako").write_text(MAKO)
    return directory


def first_line(error: BaseException) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]


@dataclasses.dataclass
class Code:
    """Old or new code: the tables it knows by kind, and what it can do with a database."""

    key: str
    place: str
    names: list[str]
    after: bool

    def __post_init__(self) -> None:
        self.tables = {
            name: list(tables_of(self.key, self.place, name, after=self.after).values())
            for name in self.names
        }
        # A table may come after the one that it refers to by no foreign key.
        for tables in self.tables.values():
            tables.sort(
                key=lambda one: any(
                    "_child" in part for part in (one.name, one.name.lower().replace(" ", "_"))
                )
            )

    def write(
        self, connection: sa.Connection, name: str, number: int, *, extreme: bool = False, filled: bool = True
    ) -> None:
        """Insert a row into each of the kind's tables, each referring to the one before."""
        before: tuple[sa.Table, Any] | None = None
        for table in self.tables[name]:
            values = row(table, number, extreme=extreme, filled=filled)
            if before is not None:
                for place, one in enumerate(before[1]):
                    values[Place(self.place)(f"of_{place}")] = one
            key = list(table.primary_key.columns)
            made = connection.execute(table.insert().values(values).returning(*key)).one()
            before = (table, made)

    def tried(self, engine: sa.Engine, name: str, number: int) -> str | None:
        """Insert and commit; the reason why it cannot be, or None."""
        try:
            with engine.begin() as connection:
                self.write(connection, name, number, filled=self.after or number % 2 == 0)
        except sa.exc.DBAPIError as error:
            return first_line(error)
        return None


@dataclasses.dataclass
class Walk:
    """One project at its base, what was written, and the faults."""

    key: str
    place: str
    names: list[str]
    shop: Shop
    server: ScratchServer
    faults: Faults
    written: list[str] = dataclasses.field(default_factory=list)
    settled: bool = False

    def __post_init__(self) -> None:
        self.old = Code(self.key, self.place, self.names, after=False)
        self.new = Code(self.key, self.place, self.names, after=True)
        self.before = models(self.key, self.place, self.names, after=False)
        self.wanted = models(self.key, self.place, self.names, after=True)
        self.base = ""

    def write(self) -> None:
        """Write the base and what leads from it to the new models."""
        shop = self.shop
        for metadata in (self.before, self.wanted):
            if self.place == "named" and metadata is self.before:
                shop.run("CREATE SCHEMA depot")
            written = shop.revise(metadata, rename="none")
            if metadata is self.before:
                shop.upgrade(metadata)
                self.base = shop.head()
                again = shop.revise(metadata, rename="none")
                if again:
                    self.faults("all", f"base is written again: {shop.text(again[0])[:500]}")
            else:
                self.written = written
        # Loaded once: every step would compile every file again.
        self.script = ScriptDirectory.from_config(Config(shop.ini))
        self.texts = [Path(self.script.get_revision(one).path).read_text() for one in self.written]

    def on(self, rows: str) -> None:
        """Upgrade on rows with both codes at work, then down again."""
        with self.server.clone(self.shop.database) as database:
            shop = dataclasses.replace(self.shop, database=database)
            url = database.url.replace("postgresql://", "postgresql+psycopg2://")
            # A session for the codes and one for the history: a connection for every step costs as much as the step.
            engine, history = (sa.create_engine(url, poolclass=sa.StaticPool) for _ in range(2))
            try:
                self._on(rows, shop, engine, history)
            except (sa.exc.SQLAlchemyError, CommandError) as error:
                self.faults("all", f"{rows}: {first_line(error)}")
            finally:
                engine.dispose()
                history.dispose()

    def step(self, shop: Shop, history: sa.Engine, target: str, *, up: bool) -> None:
        """Run the history to a revision, as `alembic upgrade` and `alembic downgrade` do."""

        def plan(heads: Any, _context: Any) -> Any:
            revs = self.script._upgrade_revs if up else self.script._downgrade_revs
            return revs(target, heads)

        with shop.config(self.wanted) as config:
            config.attributes["engine"] = history
            with EnvironmentContext(config, self.script, fn=plan, destination_rev=target):
                self.script.run_env()

    def _on(self, rows: str, shop: Shop, engine: sa.Engine, history: sa.Engine) -> None:
        self._fill(rows, engine)
        original = self._rows(engine)
        before = self._fingerprint(database=shop.database)
        worked: dict[str, list[tuple[bool, bool]]] = {name: [] for name in self.names}
        said: dict[str, list[str]] = {name: [] for name in self.names}
        numbers = itertools.count(MEANWHILE)
        for position in range(len(self.written) + 1):
            if position:
                self.step(shop, history, self.written[position - 1], up=True)
            for name in self.names:
                if position in (0, len(self.written)) or self._touches(name, self.texts[position - 1]):
                    old, new = (code.tried(engine, name, next(numbers)) for code in (self.old, self.new))
                    worked[name].append((old is None, new is None))
                    said[name] += [
                        f"at {position}: {who}: {one}" for who, one in (("old", old), ("new", new)) if one
                    ]
        for name in self.names:
            both = worked[name]
            if not both[0][0]:
                self.faults(name, f"{rows}: old code fails before anything {said[name]}")
            if not both[-1][1] and self.new.tables[name]:
                self.faults(name, f"{rows}: new code fails at the end {said[name]}")
            if not any(old and new for old, new in both):
                self.faults(name, f"{rows}: no time at which both work {said[name]}")
            if KINDS[name].always and not all(old and new for old, new in both):
                self.faults(name, f"{rows}: {said[name]}")
            if (
                sorted(both, key=lambda one: not one[0]) != both
                or sorted(both, key=lambda one: one[1]) != both
            ):
                self.faults(name, f"{rows}: works, then not, then again {said[name]}")
        if not self.settled:
            self.settled = True
            self._settled(shop, engine)
        self._tidy(engine)
        for target in [*self.written[-2::-1], self.base]:
            self.step(shop, history, target, up=False)
        for name in self.names:
            if (why := self.old.tried(engine, name, next(numbers))) is not None:
                self.faults(name, f"{rows}: old code after the downgrade: {why}")
        found = self._rows(engine)
        for table, (name, was) in original.items():
            now = found[table][1]
            lost = [f"{one}" for one in was if one not in now]
            if lost and not (name in self.names and (self.new.tables[name] == [])):
                self.faults(name, f"{rows}: rows of {table} changed: {lost[:2]} {now[:2]}")
        for one in fingerprint.differences(before, self._fingerprint(database=shop.database)):
            kept = any(
                one.object.partition(" ")[2].partition(".")[2] in text
                for text in self.texts
                if "kept = " in text
            )
            if (
                not one.is_note
                and "alembic_version" not in one.object
                and not (kept and one.kind == "enum values")
            ):
                self.faults("all", f"{rows}: after the downgrade {one}")

    def _touches(self, name: str, text: str) -> bool:
        names = {table.name for code in (self.old, self.new) for table in code.tables[name]}
        return any(one in text for one in names) or (
            name.startswith("enum") and Place(self.place)(name[5:]) in text
        )

    def _fill(self, rows: str, engine: sa.Engine) -> None:
        count = {"none": 0, "rows": 12, "extreme": 6}[rows]
        with engine.begin() as connection:
            for name in self.names:
                for number in range(FIRST, FIRST + count):
                    self.old.write(
                        connection, name, number, extreme=rows == "extreme", filled=number % 4 != 1
                    )
                for table in self.old.tables[name]:
                    for one in table.primary_key.columns:
                        if rows == "extreme" and numbered(one):
                            # Far along, with a gap behind the last row.
                            spelt = connection.dialect.identifier_preparer.format_table(table)
                            connection.execute(
                                sa.text("SELECT setval(pg_get_serial_sequence(:t, :c), 2147480000)"),
                                {"t": spelt, "c": one.name},
                            )

    def _rows(self, engine: sa.Engine) -> dict[str, tuple[str, list[str]]]:
        """Read the rows that were there, without what a downgrade is allowed to lose."""
        found = {}
        with engine.begin() as connection:
            for name in self.names:
                lost = {Place(self.place)(one) for one in KINDS[name].lost}
                for table in self.old.tables[name]:
                    columns = [one for one in table.columns if one.name not in lost]
                    texts = [sa.cast(one, sa.Text) for one in columns]
                    if not sa.inspect(connection).has_table(table.name, table.schema):
                        continue
                    found[table.name] = (
                        name,
                        [str(tuple(one)) for one in connection.execute(sa.select(*texts))],
                    )
        return found

    def _tidy(self, engine: sa.Engine) -> None:
        """Delete what only the new form can hold."""
        for name in self.names:
            if KINDS[name].lossy:
                with engine.begin() as connection:
                    for table in reversed(self.new.tables[name]):
                        label = table.columns[Place(self.place)("label")]
                        connection.execute(sa.delete(table).where(sa.func.length(label) == 4))

    def _settled(self, shop: Shop, engine: sa.Engine) -> None:
        again = shop.revise(self.wanted, rename="none")
        if again:
            self.faults("all", f"written again: {re.findall('op.execute.*', shop.text(again[0]))[:3]}")
            for one in again:
                for path in (shop.directory / "alembic" / "versions").glob(f"*_{one}.py"):
                    path.unlink()
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_schemas": True,
                    "compare_server_default": self.key != "uuid",
                    "compare_type": True,
                },
            )
            left = [
                one for one in compare_metadata(context, self.wanted) if "alembic_version" not in str(one)
            ]
        if left:
            self.faults("all", f"alembic check: {str(left)[:300]}")

    def _fingerprint(self, database: ScratchDatabase) -> fingerprint.Fingerprint:
        import psycopg2

        with contextlib.closing(psycopg2.connect(database.url)) as connection:
            return fingerprint.read(connection, schemas=[Place(self.place).schema or "public"])


def walk(
    server: ScratchServer, directory: Path, key: str, place: str, names: list[str], rows: tuple[str, ...]
) -> Walk:
    """Write and walk one project; its faults are in what is returned."""
    with server.database() as database:
        shop = Shop(start(directory), database)
        made = Walk(key, place, names, shop, server, Faults())
        try:
            made.write()
        except (sa.exc.SQLAlchemyError, CommandError) as error:
            made.faults("all", f"writing: {first_line(error)}")
            return made
        for one in rows:
            made.on(one)
        return made


@dataclasses.dataclass
class Proved:
    """What the drill and the trace of a project said that is not proved, or is dangerous."""

    revisions: int
    faults: list[str]


def prove(server: ScratchServer, directory: Path, key: str, place: str, names: list[str]) -> Proved:
    """Write one project, and drill and trace what was written."""
    with server.database() as database:
        made = Walk(key, place, names, Shop(start(directory), database), server, Faults())
        made.write()
        if place == "named":
            # The schema was there before the history: a drill starts on an empty database.
            (first,) = (directory / "alembic" / "versions").glob(f"*_{made.base}.py")
            head, _, body = first.read_text().partition("def upgrade():\n")
            create = '    op.execute("CREATE SCHEMA IF NOT EXISTS depot")\n'
            first.write_text(f"{head}def upgrade():\n{create}{body}")
        span = f"{made.base}:{made.written[-1]}"
        # As `airlock trace`, which goes on in another database where a downgrade leaves one behind that is not as it was.
        report = trace(made.shop.ini, from_to=span, scratch=server.admin_url, rows=1_000)
        faults = made.shop.dangerous([*report.revisions, *report.unfilled])
        faults += [
            f"{one.revision} was not examined: {one.unexamined}" for one in report.revisions if one.unexamined
        ]
        faults += [
            f"{one.title}: {one.verdict}: {one.reason} {[str(it) for it in one.differences[:2]]}"
            for one in made.shop.drill(span, server)
            if one.verdict != "proved"
        ]
        return Proved(len(made.written), faults)


def names_for(key: str) -> list[str]:
    """List the kinds that there are for a key."""
    return [name for name, one in KINDS.items() if key in one.keys]


__all__ = ["Iterator", "names_for", "prove", "walk"]
