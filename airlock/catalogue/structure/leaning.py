"""What leans on columns besides constraints and indexes, and how each is dropped and made again as it is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airlock.catalogue.structure import leaning_queries as queries
from airlock.catalogue.structure.names import Spelling, create_policy, quoted, trigger_state
from airlock.catalogue.structure.reading import qualified

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Objects that show or hold what they read, and stand by themselves; the others belong to the table.
VIEWS = frozenset({"view", "materialized view", "function"})
# What goes with a column that is dropped; the others refuse that.
FOLLOWING = frozenset({"statistics", "cluster"})


@dataclasses.dataclass(frozen=True)
class Leaning:
    """One object that leans on columns. `make` is empty where it cannot be made again as it is.

    `indexes` are those of a materialized view, and `alone` says that it reads tables only: it can be made beside.
    """

    kind: str
    name: str
    drop: tuple[str, ...] = ()
    make: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    alone: bool = False

    @property
    def label(self) -> str:
        """Name it for people."""
        return f"{self.kind} {self.name}".strip()


def leaning(
    connection: sa.Connection, schemas: Mapping[str, str], home: str, columns: Sequence[tuple[str, str, str]]
) -> list[Leaning]:
    """List what leans on columns, each given by its schema, table and name, in the order in which it can be made.

    Views that lean on such views are among it. `schemas` and `home` are as for `read`. Reads the catalogue only.
    """
    if not columns:
        return []
    with qualified(connection):
        return list(_Leaning(connection, Spelling(schemas, home), columns).found())


class _Leaning:
    def __init__(
        self, connection: sa.Connection, spell: Spelling, columns: Sequence[tuple[str, str, str]]
    ) -> None:
        self.connection = connection
        self.spell = spell
        self.given = {"columns": [quoted(schema) + "." + quoted(table) for schema, table, _ in columns],
                      "names": [name for *_, name in columns]}  # fmt: skip
        self.version = int(connection.execute(sa.text("SHOW server_version_num")).scalar_one())

    def rows(self, query: str) -> list[Any]:
        return list(self.connection.execute(sa.text(queries.COLUMNS + query), self.given))

    def found(self) -> Iterator[Leaning]:
        for kind, name in self.rows(queries.IN_THE_WAY):
            yield Leaning(kind, self.spell(name))
        for name, table, definition, enabled, comment in self.rows(queries.TRIGGERS):
            on = self.spell(table)
            make = [self.spell(definition), *trigger_state(on, name, enabled)]
            yield _commented(
                "trigger", quoted(name), f"TRIGGER {quoted(name)} ON {on}", make, comment, f"DROP TRIGGER {quoted(name)} ON {on}"
            )  # fmt: skip
        for name, table, permissive, command, roles, using, check, comment in self.rows(queries.POLICIES):
            on = self.spell(table)
            make = [
                create_policy(
                    name, on, command, roles, self.spell(using), self.spell(check), permissive=permissive
                )
            ]
            yield _commented(
                "policy", quoted(name), f"POLICY {quoted(name)} ON {on}", make, comment, f"DROP POLICY {quoted(name)} ON {on}"
            )  # fmt: skip
        for name, definition, target, comment in self.rows(queries.STATISTICS):
            spelt = self.spell(name)
            make = [self.spell(definition)]
            make += [f"ALTER STATISTICS {spelt} SET STATISTICS {target}"] if target not in {None, -1} else []
            yield _commented("statistics", spelt, f"STATISTICS {spelt}", make, comment, f"DROP STATISTICS {spelt}")  # fmt: skip
        if self.version >= 150000:
            for name, table, columns, condition in self.rows(queries.PUBLICATIONS):
                on, where = self.spell(table), f" WHERE ({self.spell(condition)})" if condition else ""
                listed = f" ({', '.join(columns)})" if columns else ""
                alter = f"ALTER PUBLICATION {name}"
                yield Leaning(
                    "publication", name, (f"{alter} DROP TABLE {on}",), (f"{alter} ADD TABLE {on}{listed}{where}",)
                )  # fmt: skip
        for table, index, is_identity, is_clustered in self.rows(queries.MARKED_INDEXES):
            alter = f"ALTER TABLE {self.spell(table)}"
            if is_identity:
                yield Leaning(
                    "replica identity", index, (), (f"{alter} REPLICA IDENTITY USING INDEX {index}",)
                )
            if is_clustered:
                yield Leaning("cluster", index, (), (f"{alter} CLUSTER ON {index}",))
        for table, column, kind, expression, later in (
            self.rows(queries.VIRTUAL) if self.version >= 180000 else ()
        ):
            alter = f"ALTER TABLE {self.spell(table)}"
            # PostgreSQL 18 refuses SET EXPRESSION where the table has a CHECK or is published.
            again = f"{alter} ADD COLUMN {column} {self.spell(kind)} GENERATED ALWAYS AS ({self.spell(expression)}) VIRTUAL"
            yield Leaning(
                "virtual column", column, (f"{alter} DROP COLUMN {column}",), (again, *map(self.spell, later))
            )  # fmt: skip
        yield from self._views()
        for name, definition in self.rows(queries.FUNCTIONS):
            yield Leaning("function", self.spell(name), (), (self.spell(definition).rstrip(),))

    def _views(self) -> Iterator[Leaning]:
        for kind, name, options, definition, space, filled, indexes, later, alone in self.rows(queries.VIEWS):
            spelt, what = self.spell(name), "MATERIALIZED VIEW" if kind == "m" else "VIEW"
            with_ = f" WITH ({', '.join(options)})" if options else ""
            where = f" TABLESPACE {space}" if space else ""
            body = self.spell(definition).strip().removesuffix(";")
            create = f"CREATE {what} {spelt}{with_}{where} AS\n{body}{'' if filled else ' WITH NO DATA'}"
            yield Leaning(
                what.lower(), spelt, (f"DROP {what} {spelt}",), (create, *(self.spell(one) for one in later)),
                tuple(self.spell(one) for one in indexes), alone and kind == "m" and filled,
            )  # fmt: skip


def _commented(kind: str, name: str, called: str, make: list[str], comment: str | None, drop: str) -> Leaning:
    if comment is not None:
        make.append(f"COMMENT ON {called} IS '" + comment.replace("'", "''") + "'")
    return Leaning(kind, name, (drop,), tuple(make))
