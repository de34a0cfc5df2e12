"""A reading of the catalogue: object name -> kind, parent, attributes."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_TABLES = frozenset({"table", "partitioned table"})
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")


@functools.lru_cache(maxsize=65536)
def plain(identifier: str) -> str:
    """Spell one identifier: as it is where that is unambiguous, else quoted.

    Keywords stay bare (`phase2.user`): these names are read by people and compared, never executed.
    """
    if _PLAIN.match(identifier):
        return identifier
    doubled = identifier.replace('"', '""')
    return f'"{doubled}"'


@dataclass(frozen=True, slots=True)
class CatalogueObject:
    """One object: its kind in words, the object it lives and dies with, its attributes as text."""

    kind: str
    parent: str | None
    attributes: Mapping[str, str]

    def summary(self) -> str:
        """Say in one line what the object is."""
        attributes = self.attributes
        if "type" in attributes:
            parts = [attributes["type"], *(["not null"] if "not null" in attributes else [])]
            parts += [
                f"{word} {attributes[word]}"
                for word in ("default", "generated", "identity")
                if word in attributes
            ]
            return " ".join(parts)
        for telling in ("definition", "values", "base type", "version", "columns"):
            if telling in attributes:
                return f"{self.kind} {attributes[telling]}" if telling == "version" else attributes[telling]
        return self.kind


class Fingerprint(Mapping[str, Mapping[str, str]]):
    """An immutable reading: maps each object's name, sorted, to its attributes.

    Equal to another reading exactly when both hold the same objects with the same attributes.
    """

    __slots__ = ("_digest", "_partitions", "_tables", "objects")

    def __init__(self, objects: Mapping[str, CatalogueObject]) -> None:
        self.objects: Mapping[str, CatalogueObject] = MappingProxyType(dict(sorted(objects.items())))
        self._digest: str | None = None
        self._tables: frozenset[str] | None = None
        self._partitions: frozenset[str] | None = None

    def without(self, names: Collection[str]) -> Fingerprint:
        """Leave some objects out, by name."""
        if not names:
            return self
        return Fingerprint({name: one for name, one in self.objects.items() if name not in names})

    def __getitem__(self, name: str) -> Mapping[str, str]:
        return self.objects[name].attributes

    def __iter__(self) -> Iterator[str]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fingerprint):
            return NotImplemented
        return self.objects == other.objects

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[type[Fingerprint], tuple[dict[str, CatalogueObject]]]:
        return (Fingerprint, (dict(self.objects),))

    @property
    def digest(self) -> str:
        """Give a short name to this reading: the same for the same objects."""
        if self._digest is None:
            text = hashlib.sha256()
            for name, thing in self.objects.items():
                text.update(repr((name, thing.kind, sorted(thing.attributes.items()))).encode())
            self._digest = text.hexdigest()[:16]
        return self._digest

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """List the names of the objects of one kind."""
        return tuple(name for name, thing in self.objects.items() if thing.kind == kind)

    @property
    def partitions(self) -> frozenset[str]:
        """Name the partitions."""
        if self._partitions is None:
            self._partitions = frozenset(
                name for name, thing in self.objects.items() if "partition bound" in thing.attributes
            )
        return self._partitions

    @property
    def tables(self) -> frozenset[str]:
        """Name the tables, without partitions."""
        if self._tables is None:
            found = frozenset(name for name, thing in self.objects.items() if thing.kind in _TABLES)
            self._tables = found - self.partitions
        return self._tables
