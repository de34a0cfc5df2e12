"""Edits of an ordinary library's models: written, upgraded on rows beside old and new code, and led back."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.util.exc import CommandError

from airlock.catalogue import fingerprint
from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop
from tests.airlock.revision.library import CODE, EDITS, ROWS, SOURCE, Edit, metadata_of
from tests.airlock.revision.walk import first_line, start

# What the suite walks together, as one edit of many columns; `make matrix` walks every edit, drills and traces it.
TOGETHER = (
    "text_to_enum", "array_wider", "not_null_unique", "enum_to_text", "bool_to_int", "drop_table_and_column",
    "enum_nullable_to_other_enum", "array_int_to_bigint", "wider_and_required",
)  # fmt: skip
EACH = "AIRLOCK_MATRIX" in os.environ


def joined(names: Sequence[str]) -> Edit:
    """Make one edit of several."""
    edits = [EDITS[name] for name in names]
    return Edit(
        tuple(it for one in edits for it in one.pairs), code=tuple(it for one in edits for it in one.code),
        lost=tuple(it for one in edits for it in one.lost),
    )  # fmt: skip


@dataclasses.dataclass
class Walked:
    """A library at its base, what an edit of it wrote, and what code of either side can do."""

    shop: Shop
    edit: Edit
    before: sa.MetaData
    after: sa.MetaData
    base: str
    said: list[str]
    written: list[str]
    faults: list[str] = dataclasses.field(default_factory=list)

    @property
    def old(self) -> tuple[str, ...]:
        return CODE

    @property
    def new(self) -> tuple[str, ...]:
        texts = "\n".join(CODE)
        for was, becomes in zip(self.edit.code[::2], self.edit.code[1::2], strict=True):
            assert was in texts, was
            texts = texts.replace(was, becomes)
        return (*texts.split("\n"), *self.edit.more)

    def walk(self) -> None:
        """Upgrade on rows with both codes at work between each two revisions, then down again."""
        shop, numbers = self.shop, itertools.count(1000)
        for text in ROWS:
            shop.run(text)
        schemas = sorted(
            {table.schema or "public" for it in (self.before, self.after) for table in it.tables.values()}
        )
        before, rows = self._fingerprint(schemas), self._rows()
        works: list[tuple[bool, bool]] = []
        said: list[str] = []
        for place, revision in enumerate([self.base, *self.written]):
            if place:
                shop.upgrade(self.after, revision)
            reasons = [self._tried(code, next(numbers)) for code in (self.old, self.new)]
            works.append((not reasons[0], not reasons[1]))
            said += [f"at {place}: {one}" for one in reasons if one]
        if self.edit.renames == ("none",) and not any(old and new for old, new in works):
            self.faults.append(f"no time at which both codes work: {said}")
        if (
            not works[-1][1]
            or works != sorted(works, key=lambda it: not it[0])
            or works != sorted(works, key=lambda it: it[1])
        ):
            self.faults.append(f"works, then not, then again: {works} {said}")
        self._settled()
        for revision in [*self.written[-2::-1], self.base]:
            shop.downgrade(self.after, revision)
        if why := self._tried(self.old, next(numbers)):
            self.faults.append(f"old code after the downgrade: {why}")
        now = self._rows()
        self.faults += [
            f"{table} has not {gone[:2]} any more, but {now[table][:2]}"
            for table, there in rows.items()
            if (gone := [one for one in there if one not in now[table]])
        ]
        # A foreign key to a table that came back empty stays NOT VALID.
        empty = tuple(f"REFERENCES public.{one}(" for one in self.edit.lost)
        kept = any("kept = " in shop.text(one) for one in self.written)
        self.faults += [
            f"after the downgrade: {one}"
            for one in fingerprint.differences(before, self._fingerprint(schemas))
            if not one.is_note and "alembic_version" not in one.object and not (kept and one.kind == "enum values")
            and not (str(one.after).endswith("NOT VALID") and any(it in str(one.after) for it in empty))
        ]  # fmt: skip

    def _settled(self) -> None:
        """Hold a second call, and Alembic's own comparison."""
        if again := self.shop.revise(self.after, rename="none"):
            self.faults.append(f"written again: {self.shop.text(again[0])}")
            for path in (self.shop.directory / "alembic" / "versions").glob(f"*_{again[0]}.py"):
                path.unlink()
        with self._engine() as engine, engine.connect() as connection:
            # Alembic cannot ask of a default that holds a quote.
            options = {"include_schemas": True, "compare_type": True}
            context = MigrationContext.configure(connection, opts=options)
            left = [it for it in compare_metadata(context, self.after) if "alembic_version" not in str(it)]
        if left:
            self.faults.append(f"alembic check: {left}")

    @contextlib.contextmanager
    def _engine(self) -> Iterator[sa.Engine]:
        url = self.shop.database.url.replace("postgresql://", "postgresql+psycopg2://")
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        yield engine
        engine.dispose()

    def _tried(self, code: Sequence[str], number: int) -> str:
        with self._engine() as engine:
            try:
                with engine.begin() as connection:
                    for text in code:
                        connection.exec_driver_sql(_numbered(text, number))
            except sa.exc.DBAPIError as error:
                return first_line(error)
        return ""

    def _rows(self) -> dict[str, list[str]]:
        """Read the rows, without what a downgrade may lose."""
        found = {}
        with self._engine() as engine, engine.connect() as connection:
            for table in self.before.sorted_tables:
                label = f"{table.schema}.{table.name}" if table.schema else table.name
                if label in self.edit.lost:
                    continue
                columns = [one for one in table.columns if f"{label}.{one.name}" not in self.edit.lost]
                texts = [sa.cast(one, sa.Text) for one in columns]
                found[label] = [str(tuple(row)) for row in connection.execute(sa.select(*texts))]
        return found

    def _fingerprint(self, schemas: list[str]) -> fingerprint.Fingerprint:
        import psycopg2

        with contextlib.closing(psycopg2.connect(self.shop.database.url)) as connection:
            return fingerprint.read(connection, schemas=schemas)


def _numbered(text: str, number: int) -> str:
    """Put a number where N stands by itself, or behind one letter that begins a value."""
    return re.sub(r"(?<=')([A-Z])N(?=')|\bN\b", lambda found: f"{found[1] or ''}{number}", text)


def edited(shop: Shop, edit: Edit) -> Walked:
    """Write the base and what an edit leads to."""
    before, after = metadata_of(SOURCE), metadata_of(edit.source)
    shop.revise(before, rename="none")
    shop.upgrade(before)
    base = shop.head()
    said: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("airlock.operations.revision.directives")
    logger.addHandler(listener)
    try:
        with shop.config(after) as config:
            config.cmd_opts = Namespace(autogenerate=True, x=[f"rename={one}" for one in edit.renames])
            made = command.revision(config, "Change the library", autogenerate=True)
    finally:
        logger.removeHandler(listener)
    scripts = made if isinstance(made, list) else [made]
    written = [one.revision for one in scripts if one is not None]
    return Walked(shop, edit, before, after, base, said, written)


@pytest.mark.proof
@pytest.mark.parametrize("name", sorted(EDITS) if EACH else ["together", "schema_move_and_rename"])
def test_an_edit_runs_on_rows_beside_old_and_new_code(
    scratch: ScratchServer, tmp_path: Path, name: str
) -> None:
    """Upgraded on rows, a second call and `alembic check` find nothing, led back with the rows as they were; else it is said."""
    edit = joined(TOGETHER) if name == "together" else EDITS[name]
    with scratch.database() as database:
        walked = edited(Shop(start(tmp_path / "library"), database), edit)
        if edit.said:
            assert [edit.said in one for one in walked.said] == [True] * len(walked.said) != []
            assert walked.written == []
            return
        walked.walk()
        if EACH:
            with scratch.database() as empty:
                shop = dataclasses.replace(walked.shop, database=empty)
                walked.faults += shop.dangerous(shop.trace(f"{walked.base}:{walked.written[-1]}"))
            proofs = walked.shop.drill(f"{walked.base}:{walked.written[-1]}", scratch)
            walked.faults += [
                f"{one.title}: {one.verdict}: {one.reason}" for one in proofs if one.verdict != "proved"
            ]
        assert walked.faults == []


@pytest.mark.proof
def test_keys_at_both_ends_of_a_foreign_key_stay_as_they_are_together(
    scratch: ScratchServer, tmp_path: Path
) -> None:
    """No integer is a uuid: that is said of both columns, and nothing is written; a likely rename is asked, with its schema."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "library"), database)
        walked = edited(shop, EDITS["pk_int_to_uuid_referred"])
        assert [(one.partition(":")[0], "no integer is a uuid" in one) for one in walked.said] == [
            ("public.books.publisher_id", True), ("public.publishers.id", True),
        ]  # fmt: skip
        assert walked.written == []
        with pytest.raises(CommandError, match=r'Say --rename "Desk"\.fines:till\.fines or'):
            shop.revise(metadata_of(EDITS["schema_move"].source))
