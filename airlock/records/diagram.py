"""Tables, their columns and the keys between them: what an entity-relationship diagram is drawn from."""

from __future__ import annotations

from typing import Literal

from airlock.records import dataclass

Mark = Literal["new", "gone", "changed", ""]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `key` is "PK", "FK", "PK FK" or empty."""

    name: str
    type: str
    nullable: bool
    key: str = ""
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """One table."""

    name: str
    columns: tuple[Column, ...]
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """One foreign key, whatever the number of its columns."""

    name: str
    table: str
    columns: tuple[str, ...]
    refers_to: str
    refers_to_columns: tuple[str, ...]
    on_delete: str
    optional: bool
    unique: bool
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Diagram:
    """Tables and foreign keys, sorted by name."""

    entities: tuple[Entity, ...] = ()
    edges: tuple[Edge, ...] = ()

    def without(self, table: str) -> Diagram:
        """Leave one table out."""
        return Diagram(
            tuple(entity for entity in self.entities if entity.name != table),
            tuple(edge for edge in self.edges if table not in (edge.table, edge.refers_to)),
        )

    def focused(self, most: int) -> Diagram:
        """Keep what changed and its neighbours where there are more than `most` tables; at most so many."""
        if len(self.entities) <= most:
            return self
        changed = {entity.name for entity in self.entities if entity.mark}
        changed |= {name for edge in self.edges if edge.mark for name in (edge.table, edge.refers_to)}
        near = {
            name
            for edge in self.edges
            if edge.table in changed or edge.refers_to in changed
            for name in (edge.table, edge.refers_to)
        }
        ranked = sorted(changed) + sorted(near - changed)
        kept = set(ranked[:most])
        return Diagram(
            tuple(entity for entity in self.entities if entity.name in kept),
            tuple(edge for edge in self.edges if edge.table in kept and edge.refers_to in kept),
        )
