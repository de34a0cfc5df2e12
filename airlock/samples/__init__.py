"""Rows: made by the server from its own catalogue, told apart by digests, copied as another client would write.

for table in rows.fill(connection, 1000): ...          # sample rows, and why a table has fewer
before = rows.digests(connection, rows.read_tables(connection))
...
rows.compare(before["phase2.task"], after["phase2.task"], "phase2.task")
"""

from airlock.samples.by_hand import time_by_hand
from airlock.samples.clones import Written, fresh_values, write_clones
from airlock.samples.digests import (
    GONE,
    Digests,
    TableDigest,
    can_be_compared,
    compare,
    delete_rows,
    digest_large_objects,
    digests,
    empty_tables,
)
from airlock.samples.extension_tables import (
    ExtensionTable,
    digest_extension_tables,
    extension_tables,
    rows_of_others,
)
from airlock.samples.fill import fill
from airlock.samples.hours import odd_hours, zones_named
from airlock.samples.large_objects import large_objects, make_referred
from airlock.samples.lengths import longer_than
from airlock.samples.model import Table
from airlock.samples.requirements import in_present_types, with_requirements
from airlock.samples.sequences import (
    KnownSequence,
    Next,
    compare_sequences,
    list_sequences,
    read_sequences,
    set_sequences,
)
from airlock.samples.tables import read_tables
from airlock.samples.values import hard_to_fill, is_hollow

__all__ = [
    "GONE",
    "Digests",
    "ExtensionTable",
    "KnownSequence",
    "Next",
    "Table",
    "TableDigest",
    "Written",
    "can_be_compared",
    "compare",
    "compare_sequences",
    "delete_rows",
    "digest_extension_tables",
    "digest_large_objects",
    "digests",
    "empty_tables",
    "extension_tables",
    "fill",
    "fresh_values",
    "hard_to_fill",
    "in_present_types",
    "is_hollow",
    "large_objects",
    "list_sequences",
    "longer_than",
    "make_referred",
    "odd_hours",
    "read_sequences",
    "read_tables",
    "rows_of_others",
    "set_sequences",
    "time_by_hand",
    "with_requirements",
    "write_clones",
    "zones_named",
]
