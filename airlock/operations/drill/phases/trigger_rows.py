"""What triggers and rules write beside a revision, an audit trail or `updated_at` say: what is said of it.

What the upgrade brought itself, or by a trigger that comes with it, must go with it. A trail that the history kept before
goes on growing; that it should, only the revision can say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airlock.catalogue.set_at_update import set_at_update
from airlock.drivers import client
from airlock.drivers.spelling import bare, mentions
from airlock.operations.drill import comparisons
from airlock.operations.drill.phases import interim_writes
from airlock.recorder.row_changes import INSERT, MERGE, READ
from airlock.records.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airlock.catalogue.fingerprint import Fingerprint
    from airlock.operations.drill.phases.interim_writes import Meanwhile
    from airlock.operations.drill.state import Ledger, State
    from airlock.recorder.row_changes import DataStatement

_LOOKS = re.compile(r"\bCONFLICT\b|\bEXISTS\b|\bNOT\s+IN\b|\bEXCEPT\b|\bIS\s+NULL\b", re.IGNORECASE)
_CALLED = re.compile(r'EXECUTE (?:FUNCTION|PROCEDURE) ((?:[\w$.]|"(?:[^"]|"")*")+)\(')


@dataclass(frozen=True)
class Stayed:
    """Rows that are there after a downgrade and were not before the upgrade.

    `differences` are the revision's own. `unsaid` were written by triggers and rules that stay, or are found again by the
    next upgrade: whether they are meant to stay, the revision says, or nobody. `notes` tell of the others, which the
    downgrade may have moved there.
    """

    differences: tuple[Difference, ...] = ()
    unsaid: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


def stayed(
    before: State, after: State, written: Meanwhile, below: State, sent: Collection[DataStatement]
) -> Stayed:
    """Tell of tables that hold more rows after the downgrade than before the upgrade; `sent` is what the upgrade sent.

    Reads what was read of them.
    """
    differences, unsaid, notes = [], [], []
    for table, more in interim_writes.left(before, after, written, below).items():
        there = before.digests[table].count
        brought = after.digests[table].count - there
        writing = list(writers(after.catalogue, table))
        own = [name for name in writing if name not in before.catalogue.objects]
        if own:
            said = f"{_rows(more)} more, written by {', '.join(own)}, which comes with the revision"
            differences.append(Difference(table, "rows", f"{there} rows", said))
        elif writing:
            said = f"{_rows(more)} more, and {', '.join(writing)} writes there"
            unsaid.append(Difference(table, "rows", f"{there} rows", said))
        elif brought > 0:
            # An extension's own: `part_config (of the extension pg_partman)`.
            again = _finds_again(table.partition(" (")[0], sent)
            said = f"{_rows(min(more, brought))} more, which the upgrade brought{' and would find again' if again else ''}"
            (unsaid if again else differences).append(Difference(table, "rows", f"{there} rows", said))
        else:
            said = f"{_rows(more)} more than before the upgrade, and not from those written meanwhile"
            notes.append(f"{table} holds {said}")
    return Stayed(tuple(differences if comparisons.ROWS else ()), tuple(unsaid), tuple(notes))


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def _finds_again(table: str, sent: Collection[DataStatement]) -> bool:
    """Tell whether an upgrade looks for its rows before it inserts them: in the statement, or in its own code."""
    name = bare(table).lower()
    inserts = [one for one in sent if one.kind in (INSERT, MERGE) and one.relation.lower() == name]
    reads = any(one.kind == READ and mentions(one.text.lower(), name) for one in sent)
    return bool(inserts) and (reads or all(one.kind == MERGE or _LOOKS.search(one.text) for one in inserts))


def set_beside(ledger: Ledger, differences: Collection[Difference]) -> list[str]:
    """Say of values which a table's own trigger has changed what to do where that is meant. Reads the catalogue."""
    values = [one.object for one in differences if one.kind.startswith("value")]
    if not values:
        return []

    def ask(query: str) -> list[Any]:
        with ledger.reading.cursor() as cursor:
            return client.rows(cursor, query)

    functions = set_at_update(ask)
    return [
        f"{functions[name]}() sets {name} at each UPDATE: where that may be, say kept = {{{name!r}: 'why'}} in the revision"
        for name in values
        if name in functions
    ]


def writers(catalogue: Fingerprint, table: str) -> Iterator[str]:
    """Name the triggers whose functions name the table, and the rules that do. Their statements are not read."""
    plain = bare(table)
    for name in catalogue.of_kind("rule"):
        said = catalogue[name].get("definition", "")
        if mentions(said.partition(" DO ")[2], plain):
            yield name
    for name in catalogue.of_kind("trigger"):
        called = _CALLED.search(catalogue[name].get("definition", ""))
        if called is None:
            continue
        for function in catalogue.of_kind("function"):
            alike = function.partition("(")[0].rpartition(".")[2] == called[1].rpartition(".")[2]
            if alike and mentions(catalogue[function].get("definition", ""), plain):
                yield name
                break
