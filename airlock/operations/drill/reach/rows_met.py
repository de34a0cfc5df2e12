"""What one sent statement did to rows: counted by the server before it, beside it and after it.

Every question is asked on the statement's own connection, inside a savepoint that is rolled back where there is a
transaction, so that nothing of it stays.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import command, literal
from airlock.operations.drill.reach import functions_called, functions_entered
from airlock.operations.drill.reach.asking import Counted, asked, run, tried
from airlock.operations.drill.reach.through_views import said_of_tables
from airlock.recorder import prepared
from airlock.recorder import row_changes as reading
from airlock.recorder.branches import ANOTHER_VALUE, Branch
from airlock.recorder.tokens import masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airlock.drivers.statements import Query
    from airlock.operations.drill.reach.functions_called import Functions
    from airlock.recorder.row_changes import DataStatement

Columns = frozenset[tuple[int, str]]

# Written rows of this backend so far, by the table at the top: of a partition, or of a table that inherits.
# In a trial of a text these are left out, and with those there is none: what is prepared stays so, whatever is undone.
_COMMITS = frozenset({"BEGIN", "START", "COMMIT", "END"})
_STAYS = frozenset({"PREPARE", "ROLLBACK", "ABORT"})
_WRITTEN = """
SELECT s.relid::bigint, s.schemaname || '.' || s.relname,
       s.n_tup_ins{0}, s.n_tup_upd{1}, s.n_tup_del{2}
FROM pg_stat_xact_user_tables AS s{3}
WHERE s.n_tup_ins{0} + s.n_tup_upd{1} + s.n_tup_del{2} > 0
"""
_INSIDE = _WRITTEN.format("", "", "", "")
# Outside a transaction counters move from the backend to the server at any time: their sum stays.
_OUTSIDE = _WRITTEN.format(
    " + g.n_tup_ins", " + g.n_tup_upd", " + g.n_tup_del", " JOIN pg_stat_user_tables AS g USING (relid)"
).replace("s.relid::bigint", "relid::bigint")
_FAMILY = """
WITH RECURSIVE below(oid) AS (
  SELECT to_regclass({0})::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.oid)
SELECT b.oid::bigint, c.relkind::text FROM below b JOIN pg_class c ON c.oid = b.oid
"""


@dataclass(slots=True)
class Measure:
    """One statement between its start and its end."""

    own: Query
    outside: bool
    data_statements: tuple[DataStatement, ...]
    tagged: bool
    asked: list[tuple[int | None, int | None, tuple[int | None, ...]]] = field(default_factory=list)
    families: dict[str, frozenset[int]] = field(default_factory=dict)
    # What the bodies that it enters did, in a trial of it.
    inside: list[Counted] = field(default_factory=list)
    sought: tuple[DataStatement, ...] = ()
    before: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def end(self, rowcount: int = -1) -> list[Counted]:
        """Read what the statement has written; `rowcount` is the driver's, where it tells of one data statement."""
        after = written(self.own, outside=self.outside)
        for data in self.data_statements:
            if data.table and data.table not in self.families:
                self.families[data.table] = _family(self.own, data.table, outside=self.outside)
        groups = Counter(self._group(one) for one in self.data_statements)
        alone = len(self.data_statements) == 1 and self.tagged
        found = [
            self._counted(number, one, after, groups, rowcount if alone else -1)
            for number, one in enumerate(self.data_statements)
        ]
        return [*found, *self.inside]

    def _counted(
        self,
        number: int,
        data: DataStatement,
        after: dict[int, tuple[int, int, int]] | None,
        groups: Counter[tuple[str, str]],
        rowcount: int,
    ) -> Counted:
        chosen, total, through = self.asked[number]
        if data.kind in (reading.READ, reading.TRUNCATE):
            return Counted(data, chosen)
        changed = self._delta(data, after)
        if changed is not None and changed == 0 and rowcount > 0:
            changed = rowcount
        if changed is None and rowcount >= 0:
            changed = rowcount
        if groups[self._group(data)] > 1 and changed and chosen is not None:
            # The counters are of all of them together; with a body's variables in its condition there is no other.
            changed = chosen
        left = max(total - changed, 0) if total is not None and changed is not None else None
        return Counted(data, changed, left, through)

    def _group(self, data: DataStatement) -> tuple[str, str]:
        return data.kind, data.table

    def _delta(self, data: DataStatement, after: dict[int, tuple[int, int, int]] | None) -> int | None:
        if after is None:
            return None
        family = self.families.get(data.table, frozenset()) if data.table else frozenset()
        # A view, a table of rules, or no name to be read: whatever was written then.
        oids: Iterable[int] = family or {*after, *self.before}
        found = 0
        for oid in oids:
            now, then = after.get(oid, (0, 0, 0)), self.before.get(oid, (0, 0, 0))
            ins, upd, dele = (max(one - other, 0) for one, other in zip(now, then, strict=True))
            found += {
                reading.INSERT: ins, reading.COPY: ins, reading.UPDATE: upd or min(ins, dele), reading.DELETE: dele,
            }.get(data.kind, ins + upd + dele)  # fmt: skip
        return found


def begin(
    own: Query,
    statement: str,
    sent: str,
    functions: Functions,
    below: Columns = frozenset(),
    *,
    outside: bool,
) -> Measure | None:
    """Ask what a statement will choose, before it runs; None where it writes, chooses and calls nothing.

    `below` are the columns that were there before the step, by their table's oid: what they held must come back.
    `sent` is the same without the values it is bound to: what may be shown. Where it may get to `functions`, it runs
    once before, and that is undone.
    """
    plain = reading.data_statements(statement)
    if sent != statement:
        plain = reading.without_values(plain, sent)
    if command(statement) == "EXECUTE":
        bound = prepared.executed(statement, functions_entered.prepared(own, statement, outside=outside))
        plain = tuple(
            replace(one, unbound=masked(one.text, numbers=True)) for one in reading.data_statements(bound)
        )
    inside = functions_entered.look(own, functions, statement, sent, plain, outside=outside)
    if inside.data_statements:
        plain = tuple(one for one in plain if one.kind != reading.READ)
    data_statements = (*plain, *inside.data_statements)
    if not data_statements and not inside.counted and not inside.sought:
        return None
    # The driver's count is of the statement itself, not of what is written inside it.
    tagged = bool(plain) and not inside.data_statements and command(statement) in {plain[0].kind, "CREATE"}
    families = {one.table: _family(own, one.table, outside=outside) for one in data_statements if one.table}
    data_statements = tuple(
        _telling_renewed(one, families.get(one.table, frozenset()), below) for one in data_statements
    )
    views = functions.views(lambda question: asked(own, question, outside=outside))
    sought = (*inside.sought, *said_of_tables(data_statements, views))
    measure = Measure(own, outside, data_statements, tagged, inside=inside.counted, sought=sought)
    measure.families = families
    for data in data_statements:
        measure.asked.append(_asked(own, data, outside=outside))
    measure.families = {name: found for name, found in measure.families.items() if found}
    measure.before = written(own, outside=outside) or {}
    return measure


def of_each(own: Query, first: Measure, others: Sequence[str], sent: str) -> list[Counted]:
    """Ask what each set of values chooses that one statement is sent with, the first one's too; nothing for a single set."""
    found = [
        data
        for text in others
        for data in reading.without_values(reading.data_statements(text), sent)
        if _asks_rows(data)
    ]
    if not found:
        return []
    data_statements = [*(one for one in first.data_statements if _asks_rows(one)), *found]
    return [_chosen(own, data, outside=first.outside) for data in dict.fromkeys(data_statements)]


def _asks_rows(data: DataStatement) -> bool:
    return data.chooses and data.scope is not None


def _chosen(own: Query, data: DataStatement, *, outside: bool) -> Counted:
    chosen, total, through = _asked(own, data, outside=outside)
    left = max(total - chosen, 0) if total is not None and chosen is not None else None
    return Counted(data, chosen, left, through)


def _telling_renewed(data: DataStatement, family: frozenset[int], below: Columns) -> DataStatement:
    """Have the rows counted, too, that an UPDATE gives another value in a column that was there before the step."""
    asked_of = [how for name, how in data.assigned if any((oid, name) in below for oid in family)]
    if data.scope is None or not asked_of:
        return data
    branch = Branch(ANOTHER_VALUE, f"({' OR '.join(asked_of)})", data.scope)
    return replace(data, branches=(*data.branches, branch))


def writes(statement: str) -> bool:
    """Tell whether a statement does anything worth a measure of its own by what its text says."""
    return bool(reading.data_statements(statement)) or bool(reading.bodies(statement))


def apart(
    own: Query, pieces: Sequence[str], sent: Sequence[str], functions: Functions, below: Columns
) -> tuple[list[list[Counted]], tuple[DataStatement, ...]] | None:
    """Run the statements of one text one after the other in a savepoint and undo them; None where they do not go so.

    Returns what each did, and data_statements that rows are to be made for.
    """
    if not _STAYS.isdisjoint(map(command, pieces)):
        return None
    found: list[list[Counted]] = []
    sought: tuple[DataStatement, ...] = ()
    try:
        with tried(own, outside=False):
            for piece, shown in zip(pieces, sent, strict=True):
                if command(piece) in _COMMITS:
                    continue
                measure = begin(own, piece, shown, functions, below, outside=False)
                run(own, piece)
                if functions_called.defines(piece):
                    functions.forget()
                if measure is not None:
                    found.append(measure.end())
                    sought += measure.sought
    except Exception:  # noqa: BLE001  the text itself will tell, when it runs as it was sent
        return None
    return found, sought


def written(own: Query, *, outside: bool) -> dict[int, tuple[int, int, int]] | None:
    """Read how many rows this backend has inserted, updated and deleted, by table."""
    rows = asked(own, _OUTSIDE if outside else _INSIDE, outside=outside)
    return None if rows is None else {int(row[0]): (int(row[2]), int(row[3]), int(row[4])) for row in rows}


def _asked(
    own: Query, data: DataStatement, *, outside: bool
) -> tuple[int | None, int | None, tuple[int | None, ...]]:
    """Count the rows that a data statement will choose, all it could choose from, and those of each branch."""
    if data.kind == reading.TRUNCATE:
        return _first(own, f"SELECT count(*) FROM {data.table}", outside=outside), None, ()
    scope = data.scope
    total = chosen = None
    if scope is not None and (scope.condition or data.chooses):
        chosen = _first(own, scope.counting(()), outside=outside)
        if scope.mine:
            total = _first(own, f"SELECT count(*) FROM {scope.mine}", outside=outside)
    elif scope is not None:
        chosen = _first(own, scope.counting(()), outside=outside)
    return chosen, total, tuple(_through(own, data, outside=outside))


def _through(own: Query, data: DataStatement, *, outside: bool) -> Iterator[int | None]:
    found: dict[int, int | None] = {}
    for scope in dict.fromkeys(one.scope for one in data.branches):
        places = [place for place, one in enumerate(data.branches) if one.scope == scope]
        rows = asked(
            own, scope.counting([data.branches[place].condition for place in places]), outside=outside
        )
        if rows:
            found |= {place: int(one) for place, one in zip(places, rows[0][1:], strict=True)}
            continue
        for place in places:
            rows = asked(own, scope.counting([data.branches[place].condition]), outside=outside)
            found[place] = int(rows[0][1]) if rows else None
    yield from (found[place] for place in range(len(data.branches)))


def _first(own: Query, query: str, *, outside: bool) -> int | None:
    rows = asked(own, query, outside=outside)
    return int(rows[0][0]) if rows else None


def _family(own: Query, name: str, *, outside: bool) -> frozenset[int]:
    """List a table and those below it; nothing for a view or what is no table (yet)."""
    rows = asked(own, _FAMILY.format(literal(name)), outside=outside)
    if not rows or any(row[1] not in ("r", "p") for row in rows):
        return frozenset()
    return frozenset(int(row[0]) for row in rows)
