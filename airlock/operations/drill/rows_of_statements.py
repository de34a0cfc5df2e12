"""Rows that a revision's statements tell apart: made of the constants they name, chosen by asking the server.

A row is a copy of one that is there, with another value in a column that the statement reads or writes. The first of each
kind stay: those that a condition chooses, those it leaves, and those of every branch, arm and member.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock import samples
from airlock.drivers import client
from airlock.operations.drill.constants_of_statements import CERTAIN, COMPUTED, WRITTEN
from airlock.recorder import row_changes as reading
from airlock.recorder.tokens import NAME, NUMBER, STRING, WORD, Token, tokens, value
from airlock.samples.constants import Constants, candidates
from airlock.samples.digests import key_sql
from airlock.samples.tables import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from airlock.operations.drill.constants_of_statements import Named
    from airlock.operations.drill.state import Ledger
    from airlock.recorder.branches import Scope
    from airlock.recorder.row_changes import Act
    from airlock.samples import Table
    from airlock.samples.tables import Column

_FAR = 5_000_000
_MOST_TRIED, _MOST_KEPT, _MOST_COLUMNS = 160, 24, 4
_EACH = 2
_NO_ALIAS = frozenset({
    "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL", "ON", "USING", "WHERE", "SET", "TABLESAMPLE",
})  # fmt: skip
_COUNTING = frozenset({"having", "row_number", "rank", "dense_rank"})
_BEFORE_SIGN = frozenset({"BETWEEN", "AND", "THEN", "ELSE", "WHEN"})


@dataclass(slots=True)
class Sought:
    """Rows that were made, by table: where they stand; and the keys of those that need not have been there before."""

    rows: dict[str, list[str]] = field(default_factory=dict)
    unsure: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    keys: dict[str, tuple[tuple[str, ...], set[str]]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Count them all."""
        return sum(len(one) for one in self.rows.values())

    def remove(self, ledger: Ledger) -> bool:
        """Delete the rows, which nothing has changed since; False where a trigger or a rule does not let it. Commits."""
        try:
            with ledger.writing.cursor() as cursor:
                for table, places in self.rows.items():
                    cursor.execute(f"DELETE FROM {table} AS t WHERE {_at('t', places)}")
        except client.Error:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Row:
    """One row that was made: where it stands, its key, and how surely it may have been there."""

    place: str
    key: str
    strength: str


def seek(
    ledger: Ledger,
    acts: Sequence[Act],
    names: Collection[str],
    more: Constants,
    turn: int,
    sure: Named,
    later: Mapping[str, Table] | None = None,
    *,
    beside: bool = True,
) -> Sought:
    """Make rows for some acts in tables among `names`; `sure` tells how surely a row may hold a constant.

    Also in tables that an act only reads, where `beside` says so: their rows may change what becomes of others.

    `later`, where given, is what those tables demand after the upgrade: of the rows only those stay that fit it and that a
    condition tells apart. `more` are constants that the revision compares rows with in Python. Commits.
    """
    made = Sought()
    known = {
        table.label: samples.with_requirements(table, (later or {}).get(table.label))
        for table in ledger.tables(names)
    }
    number = itertools.count(_FAR + turn * 2_000)
    connection = ledger.writing
    connection.autocommit = False
    tried: set[tuple[str, str]] = set()
    try:
        with connection.cursor() as cursor:
            if ledger.search_path is not None:
                cursor.execute("SELECT set_config('search_path', %s, true)", (ledger.search_path,))
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for act in acts:
                for table in _tables_of(act, known.values(), beside=beside):
                    if (act.text, table.label) in tried:
                        continue
                    tried.add((act.text, table.label))
                    python = more if act.kind == reading.READ else Constants()
                    most = _MOST_KEPT if later is None else 0
                    for row in _made(cursor, table, act, python, number, most, sure):
                        made.rows.setdefault(table.sql, []).append(row.place)
                        made.keys.setdefault(table.label, (table.key, set()))[1].add(row.key)
                        if row.strength != CERTAIN:
                            made.unsure.setdefault(row.strength, {}).setdefault(table.label, set()).add(
                                row.key
                            )
        connection.commit()
    except client.Error:  # a constraint that is looked at when all is written
        return Sought()
    finally:
        connection.rollback()
        connection.autocommit = True
    return made


def names_any(text: str) -> bool:
    """Tell whether a statement names any constant."""
    found = constants(text)
    return bool(found.strings or found.numbers)


def constants(text: str) -> Constants:
    """Read the constants of a statement."""
    some = tokens(text)
    strings = [value(token) for token in some if token.kind == STRING and not token.text.startswith("$")]
    numbers = [
        ("-" if at and some[at - 1].text == "-" and _is_sign(some, at - 1) else "") + token.text
        for at, token in enumerate(some)
        if token.kind == NUMBER
    ]
    words = {token.text.lower() for token in some if token.kind == WORD}
    if any(token.text in ("~", "~*", "!~", "!~*") for token in some):
        words.add("~")
    return Constants(
        tuple(dict.fromkeys(strings)),
        tuple(dict.fromkeys(numbers)),
        tuple(dict.fromkeys(_paths(some))),
        frozenset(words),
    )


def _is_sign(some: Sequence[Token], place: int) -> bool:
    before = some[place - 1] if place else None
    return (
        before is None
        or before.text in ("(", "=", "<", ">", ",", "<=", ">=", "<>")
        or before.word in _BEFORE_SIGN
    )


def _paths(some: Sequence[Any]) -> Iterator[tuple[str, ...]]:
    """Find the keys that JSON operators ask for, as paths."""
    path: list[str] = []
    for at, token in enumerate(some):
        if (
            token.text in ("->", "->>", "?", "#>", "#>>")
            and at + 1 < len(some)
            and some[at + 1].kind == STRING
        ):
            text = value(some[at + 1])
            if token.text.startswith("#"):
                yield tuple(part.strip('"') for part in text.strip("{}").split(","))
                continue
            path.append(text)
            following = some[at + 2].text if at + 2 < len(some) else ""
            if following not in ("->", "->>"):
                yield tuple(path)
                path = []
        elif token.kind == WORD and token.text.lower().startswith(
            ("jsonb_extract_path", "json_extract_path")
        ):
            yield tuple(value(one) for one in some[at : at + 12] if one.kind == STRING)


def _tables_of(act: Act, known: Collection[Table], *, beside: bool) -> Iterator[Table]:
    """Find the tables that an act names, the written one last: rows of the others may be what it looks for."""
    text = act.around or act.text
    words = _words(text)
    named = [table for table in known if table.name.lower() in words]
    written = act.table.rpartition(".")[2].strip('"').lower()
    mine = [it for it in named if beside or it.name.lower() == written]
    yield from sorted(mine, key=lambda it: (it.name.lower() == written, it.label))


def _words(text: str) -> set[str]:
    """List what could be a name, also in the literals of dynamic SQL."""
    found: set[str] = set()
    for token in tokens(text):
        if token.kind in (WORD, NAME):
            found.add(token.text.strip('"').lower())
        elif token.kind == STRING:
            found |= {word.lower() for word in re.findall(r"\w+", token.text)}
    return found


def _made(cursor: Any, table: Table, *rest: Any) -> list[_Row]:
    """Make rows of one table for one act; none where the table lets them in and not out again (a trigger, a rule)."""
    cursor.execute("SAVEPOINT airlock_act")
    try:
        found = _make(cursor, table, *rest)
    except client.Error:
        found = []
        cursor.execute("ROLLBACK TO SAVEPOINT airlock_act")
    cursor.execute("RELEASE SAVEPOINT airlock_act")
    return found


def _make(
    cursor: Any,
    table: Table,
    act: Act,
    more: Constants,
    number: Iterator[int],
    most: int,
    sure: Named,
) -> list[_Row]:
    text = act.around or act.text
    named = constants(text)
    named = Constants(
        (*named.strings, *more.strings),
        (*named.numbers, *more.numbers),
        (*named.paths, *more.paths),
        named.words | more.words,
    )
    words = _words(text)
    everything = act.kind == reading.READ or "*" in text
    columns = [
        column
        for column in table.columns
        if (column.name.lower() in words or (everything and (more.strings or more.numbers or more.paths)))
        and not _is_handed_out(column)
    ]
    found: list[_Row] = []
    for strength, kept in ((CERTAIN, most), (WRITTEN, min(most, 8)), (COMPUTED, min(most, 6))):
        few = _of_strength(named, sure, strength, more)
        if strength != CERTAIN and not (table.key and (few.strings or few.numbers)):
            continue
        offered = {column.name: candidates(column, few) for column in columns}
        if strength == CERTAIN:
            plain = {name: set(values) for name, values in offered.items()}
            tries = _combined(columns, offered)
        else:
            tries = (
                {name: one} for name, values in offered.items() for one in values if one not in plain[name]
            )
        found += _kept_of(cursor, table, act, itertools.islice(tries, _MOST_TRIED), number, kept, strength)
    if words & _COUNTING:
        # So many alike, of one row: groups are counted.
        wanted = max([2, *(int(one) for one in named.numbers if one.isdigit() and int(one) < 10)]) + 1
        alike = [_insert(cursor, table, {}, next(number), 0) for _ in range(wanted)]
        found += [_Row(*one, CERTAIN) for one in alike if one is not None]
    return found


def _of_strength(named: Constants, sure: Named, strength: str, more: Constants) -> Constants:
    certain = {*more.strings, *more.numbers} if strength == CERTAIN else set()
    return Constants(
        tuple(one for one in named.strings if one in certain or sure.strength(one) == strength),
        tuple(one for one in named.numbers if one in certain or sure.strength(one.lstrip("-")) == strength),
        named.paths,
        named.words,
    )


def _kept_of(
    cursor: Any,
    table: Table,
    act: Act,
    tries: Iterable[dict[str, str]],
    number: Iterator[int],
    most: int,
    strength: str,
) -> list[_Row]:
    """Insert rows, keep those that tell something, and take the others back."""
    rows = [one for values in tries if (one := _insert(cursor, table, values, next(number))) is not None]
    kept = set(_chosen(cursor, table, act, [place for place, _ in rows], most))
    gone = [place for place, _ in rows if place not in kept]
    if gone:
        cursor.execute(f"DELETE FROM {table.sql} AS t WHERE {_at('t', gone)}")
    return [_Row(place, key, strength) for place, key in rows if place in kept]


def _is_handed_out(column: Column) -> bool:
    return bool(column.identity) or column.sequence is not None


def _combined(columns: Sequence[Column], offered: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    """Give one value to one column, in turns, and then several to several."""
    for turn in range(max((len(one) for one in offered.values()), default=0)):
        for column in columns:
            if turn < len(offered[column.name]) and turn < 20:
                yield {column.name: offered[column.name][turn]}
    several = [column.name for column in columns if len(offered[column.name]) > 1][:_MOST_COLUMNS]
    for size in range(2, len(several) + 1):
        for names in itertools.combinations(several, size):
            each = [offered[name][: 6 if size == 2 else 3] for name in names]
            for chosen in itertools.product(*each):
                yield dict(zip(names, chosen, strict=True))


def _insert(
    cursor: Any, table: Table, values: dict[str, str], number: int, offset: int | None = None
) -> tuple[str, str] | None:
    """Insert a copy of a row with some values; return where it stands and its key, None where it is refused."""
    place = number % 5 if offset is None else offset
    key = key_sql(table.key) if table.key else "''"
    fresh = samples.fresh_values(table)
    if fresh is None:
        return None
    names = [
        column.name for column in table.columns if not (_is_handed_out(column) and column.name not in fresh)
    ]
    spelled = {
        name: values[name]
        if name in values
        else fresh[name].at(f"({number})")
        if name in fresh
        else f"o.{quoted(name)}"
        for name in names
    }
    listed = ", ".join(f"{spelled[name]} AS {quoted(name)}" for name in names)
    checks = " AND ".join(
        f"({one.expression}) IS NOT FALSE" for one in table.checks if set(one.columns) <= set(names)
    )
    wanting = {column.name for column in table.columns if not column.nullable}
    if not names or any(name in wanting and values[name].startswith("NULL") for name in values):
        return None
    alone = [
        one.columns[0]
        for one in table.uniques
        if len(one.columns) == 1 and one.columns[0] in values and not one.expressions
    ]
    free = "".join(
        f" AND NOT EXISTS (SELECT FROM {table.sql} AS x WHERE x.{quoted(name)} = c.{quoted(name)})"
        for name in alone
    )
    statement = (
        f"INSERT INTO {table.sql} ({', '.join(quoted(name) for name in names)}) OVERRIDING SYSTEM VALUE "
        f"SELECT {', '.join(f'c.{quoted(name)}' for name in names)} FROM (SELECT {listed} FROM (SELECT * FROM {table.sql} "
        f"OFFSET {place} LIMIT 1) AS o) AS c WHERE {checks or 'true'}{free} RETURNING tableoid::text || ctid::text, {key}"
    )
    cursor.execute("SAVEPOINT airlock_sought")
    try:
        cursor.execute(statement)
        row = cursor.fetchone()
    except client.Error:
        cursor.execute("ROLLBACK TO SAVEPOINT airlock_sought")
        return None
    cursor.execute("RELEASE SAVEPOINT airlock_sought")
    return (str(row[0]), str(row[1])) if row else None


def _chosen(cursor: Any, table: Table, act: Act, places: Sequence[str], most: int) -> list[str]:
    """Keep the first rows that each condition chooses and leaves, then others until there are enough."""
    kept: dict[str, None] = {}
    if not places:
        return []
    scopes = dict.fromkeys(
        [*(one for one in (act.inner, act.scope) if one), *(one.scope for one in act.branches)]
    )
    for scope in scopes:
        alias = _alias_in(scope, table)
        if alias is None:
            continue
        conditions = [one.condition for one in act.branches if one.scope == scope]
        whole = scope.condition or "true"
        for condition in [whole, f"({whole}) IS NOT TRUE", *(f"({whole}) AND {one}" for one in conditions)]:
            for place in _places(cursor, scope, alias, condition, places)[:_EACH]:
                kept[place] = None
    for place in places:
        if len(kept) >= most:
            break
        kept[place] = None
    return list(kept)


def _at(alias: str, places: Sequence[str]) -> str:
    """Spell the condition that tells rows by where they stand; partitions have the same places."""
    listed = ", ".join(f"'{place}'" for place in places)
    return f"{alias}.tableoid::text || {alias}.ctid::text = ANY (ARRAY[{listed}])"


def _places(cursor: Any, scope: Scope, alias: str, condition: str, places: Sequence[str]) -> list[str]:
    spelled = f"{alias}.tableoid::text || {alias}.ctid::text"
    query = (
        f"{scope.prefix} SELECT DISTINCT {spelled} FROM {scope.source} "
        f"WHERE ({condition}) AND {_at(alias, places)} ORDER BY 1"
    )
    cursor.execute("SAVEPOINT airlock_sought")
    try:
        cursor.execute(query)
        found = [str(row[0]) for row in cursor.fetchall()]
    except client.Error:
        found = []
        cursor.execute("ROLLBACK TO SAVEPOINT airlock_sought")
    cursor.execute("RELEASE SAVEPOINT airlock_sought")
    return found


def _alias_in(scope: Scope, table: Table) -> str | None:
    """Find what a table is called in a FROM: its alias, or its name as written there."""
    some = tokens(scope.source)
    for at, token in enumerate(some):
        if token.kind not in (WORD, NAME) or token.text.strip('"').lower() != table.name.lower():
            continue
        if at + 1 < len(some) and some[at + 1].text == ".":
            continue
        after = at + 2 if at + 1 < len(some) and some[at + 1].word == "AS" else at + 1
        if after < len(some) and some[after].kind in (WORD, NAME) and some[after].word not in _NO_ALIAS:
            return some[after].text
        start = at - 2 if at > 1 and some[at - 1].text == "." else at
        return scope.source[some[start].start : token.end]
    return None


def python_constants(source: str) -> Constants:
    """Read what a revision's Python compares with: strings, numbers, and keys it asks of a value."""
    strings = re.findall(r"""(?:==|!=|\bin\b|[\[({,:])\s*['"]([^'"\n]{1,60})['"]""", source)
    numbers = re.findall(r"(?:==|!=|<|>|<=|>=)\s*(-?\d+(?:\.\d+)?)", source)
    keys = re.findall(r"""(?:\.get\(|\[)\s*['"]([\w-]{1,60})['"]""", source)
    return Constants(
        tuple(dict.fromkeys(strings))[:16],
        tuple(dict.fromkeys(numbers))[:8],
        tuple((key,) for key in dict.fromkeys(keys)),
    )
