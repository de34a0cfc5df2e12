"""What a statement does to rows: which tables it writes, which rows it chooses, and between what it tells them apart.

Reads text, asks no server. What cannot be read is left out of a data statement, never guessed: the rows of one without a
scope are known by the server's counters alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers.spelling import bare
from airlock.recorder.branches import Branch, Scope, branches, members, operands
from airlock.recorder.catalogue_queries import asks_catalogue
from airlock.recorder.prepared import PARAMETER
from airlock.recorder.selects import between, clauses, selects, takes_none
from airlock.recorder.tokens import NAME, STRING, WORD, Token, closing, masked, span, tokens, value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY, READ, CALL = (
    "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "COPY", "SELECT", "CALL",
)  # fmt: skip
_HEADS = frozenset({INSERT, UPDATE, DELETE, MERGE})
# Before a data statement inside a PL/pgSQL body.
_BEFORE_IN_BODY = frozenset({"", "THEN", "ELSE", "LOOP", "BEGIN", "IN", "QUERY", "DO", "INSTEAD", "ALSO"})


@dataclass(frozen=True, slots=True)
class DataStatement:
    """One write (or one read of the revision's own): `table` as written, empty where the text does not say."""

    kind: str
    table: str
    text: str
    scope: Scope | None = None
    chooses: bool = False
    branches: tuple[Branch, ...] = ()
    unbound: str = ""
    # Of a query: where its rows come from, beside the query itself.
    inner: Scope | None = None
    # Inside a body: the whole of it, where what the data statement is about may be said.
    around: str = ""
    # Of an UPDATE: each column that it sets by itself, and the condition that tells the rows whose value becomes another.
    assigned: tuple[tuple[str, str], ...] = ()
    # The same columns with what they are set to.
    given: tuple[tuple[str, str], ...] = ()

    @property
    def relation(self) -> str:
        """Name the table without its schema and its quotes; empty where the text does not say."""
        return bare(self.table)

    @property
    def whole(self) -> str:
        """Give all that may name its tables and constants: the body around it, or itself with what stands before it."""
        return self.around or (f"{self.scope.prefix} {self.text}" if self.scope is not None else self.text)

    @property
    def shown(self) -> str:
        """Give its text in one line, without the characters of its literals and without values it was bound to."""
        return masked(self.unbound or self.text)


def without_values(bound: tuple[DataStatement, ...], statement: str) -> tuple[DataStatement, ...]:
    """Have data statements shown as the statement spells them that was sent, without the values it was bound to."""
    sent = data_statements(statement)
    if len(sent) != len(bound):
        return tuple(dataclasses.replace(one, unbound=masked(one.text, numbers=True)) for one in bound)
    found = []
    for one, other in zip(bound, sent, strict=True):
        alike = len(one.branches) == len(other.branches)
        ways = tuple(
            dataclasses.replace(
                way, label=other.branches[at].label if alike else masked(way.label, numbers=True)
            )
            for at, way in enumerate(one.branches)
        )
        found.append(dataclasses.replace(one, unbound=other.text, branches=ways))
    return tuple(found)


def data_statements(statement: str) -> tuple[DataStatement, ...]:
    """List what one statement does by itself; not what functions and triggers do that it calls."""
    some = tokens(statement)
    if not some:
        return ()
    first = some[0].word
    if first == "PREPARE":
        start = next(
            (at for at, token in enumerate(some) if token.word == "AS" and token.depth == 0), len(some)
        )
        text = statement[some[start].end :] if start < len(some) else ""
        # What EXECUTE does with it later is not told apart, but for the values that it gives: `executed` has them.
        return () if PARAMETER.search(masked(text)) else data_statements(text)
    if first == "DECLARE":
        start = next(
            (at for at, token in enumerate(some) if token.word == "FOR" and token.depth == 0), len(some)
        )
        return data_statements(statement[some[start].end :]) if start < len(some) else ()
    if first == "CREATE":
        return tuple(_created(statement, some))
    if first == "ALTER":
        return _converted(statement, some)
    if first == TRUNCATE:
        return tuple(DataStatement(TRUNCATE, name, statement) for name in _listed(some, 1))
    if first == COPY:
        if len(some) > 1 and some[1].text == "(":
            # What it does not take is not there when a file, or the same table, is filled with it again.
            return data_statements(statement[some[1].end : some[closing(some, 1)].start])
        words = [token.word for token in some if token.depth == 0]
        return (DataStatement(COPY, _name(statement, some, 1)[0], statement),) if "FROM" in words else ()
    if first not in {*_HEADS, "WITH", "SELECT", "EXPLAIN"} and some[0].text != "(":
        return ()
    found = tuple(_written(statement, some, body=False))
    if not found and first in {"SELECT", "WITH"}:
        return () if asks_catalogue(statement) else _read(statement, some)
    return found


def _converted(sql: str, some: Sequence[Token]) -> tuple[DataStatement, ...]:
    """Read the USING of an ALTER TABLE as a query of all rows, where it tells them apart."""
    if len(some) < 3 or some[1].word != "TABLE":
        return ()
    start = next((at for at in range(2, len(some)) if some[at].word not in {"IF", "EXISTS", "ONLY"}), 2)
    name, _ = _name(sql, some, start)
    scope = Scope("", name, "", name)
    found: list[Branch] = []
    for place, token in enumerate(some):
        if token.word == "USING" and token.depth == 0:
            ends = (at for at in range(place + 1, len(some)) if some[at].depth == 0 and some[at].text in ",;")
            found += branches(sql, some[place + 1 : next(ends, len(some))], scope)
    return (DataStatement(READ, "", sql, scope, branches=tuple(found)),) if name and found else ()


def body_data_statements(body: str) -> tuple[DataStatement, ...]:
    """List what a PL/pgSQL or SQL body does, in branches or not; of EXECUTE what its literals say."""
    some = tokens(body)
    found = list(_written(body, some, body=True))
    for place, token in enumerate(some):
        if token.word == "EXECUTE":
            for text in _literals_until_semicolon(some, place):
                found += [
                    DataStatement(one.kind, _plain_name(one.table), one.text) for one in data_statements(text)
                ]
    return tuple(dataclasses.replace(one, around=body) for one in found if one.kind != READ)


def bodies(statement: str) -> tuple[str, ...]:
    """Give the bodies of a DO statement."""
    some = tokens(statement)
    if not some or some[0].word != "DO":
        return ()
    return tuple(value(token) for token in some if token.kind == STRING)


def _literals_until_semicolon(some: Sequence[Token], place: int) -> Iterator[str]:
    for token in some[place + 1 :]:
        if token.text == ";":
            return
        if token.kind == STRING:
            yield value(token)


def _plain_name(name: str) -> str:
    return "" if "%" in name else name


def _written(sql: str, some: Sequence[Token], *, body: bool) -> Iterator[DataStatement]:
    passed = 0
    for place, token in enumerate(some):
        if place < passed or token.word not in _HEADS or not _is_head(some, place, body):
            continue
        inside = _extent(some, place)
        if token.word == MERGE:
            passed = place + len(inside)
        data = _data_statement(sql, inside, _prefix(sql, some, place))
        if data is not None:
            yield data


def _is_head(some: Sequence[Token], place: int, body: bool) -> bool:
    if place == 0:
        return True
    before = some[place - 1]
    if before.text == "(":
        return True
    if before.text == ")":
        return any(token.word == "WITH" for token in some[:place])
    if before.word == "EXPLAIN" or before.word == "ANALYZE":
        return True
    if not body:
        return False
    return before.text in (";", ">>") or (before.kind == WORD and before.word in _BEFORE_IN_BODY)


def _extent(some: Sequence[Token], place: int) -> Sequence[Token]:
    depth = some[place].depth
    for end in range(place + 1, len(some)):
        if some[end].depth < depth or some[end].text == ";":
            return some[place:end]
    return some[place:]


def _prefix(sql: str, some: Sequence[Token], place: int) -> str:
    """Give the WITH that stands before a statement, or its queries before the one that the statement is, where they only read."""
    end = place
    if place and some[place - 1].text == "(":
        depth = some[place - 1].depth
        end = next(
            (at for at in range(place - 1, 0, -1) if some[at].depth < depth or some[at].text == ","), 0
        )
        if some[end].text != "," or some[end - 1].text != ")" or some[end].depth != depth:
            return ""
    elif place == 0 or some[place - 1].text != ")":
        return ""
    start = next((token for token in some[:end] if token.word == "WITH"), None)
    if start is None or any(token.word in _HEADS for token in some[:end]):
        return ""
    return sql[start.start : some[place].start] if end == place else f"{sql[start.start : some[end].start]} "


def _data_statement(sql: str, inside: Sequence[Token], prefix: str) -> DataStatement | None:
    kind = inside[0].word
    text = span(sql, inside)
    if kind == INSERT:
        return _insert(sql, inside, prefix)
    if kind == MERGE:
        return _merge(sql, inside, prefix)
    if kind == DELETE and (len(inside) < 2 or inside[1].word != "FROM"):
        return None
    start = 1 if kind == UPDATE else 2
    name, after = _name(sql, inside, start)
    marks = clauses(inside, ("SET", "FROM", "USING", "WHERE", "RETURNING"), after)
    if kind == UPDATE and "SET" not in marks:
        return None
    first = marks["SET"] if kind == UPDATE else min(marks.values(), default=len(inside))
    others = between(
        inside,
        marks,
        ("FROM",) if kind == UPDATE else ("USING",),
        ("WHERE", "RETURNING"),
    )
    where = between(inside, marks, ("WHERE",), ("RETURNING",))
    mine = span(sql, inside[start:first])
    condition = span(sql, where)
    if where and where[0].word == "CURRENT":
        return DataStatement(kind, name, text)
    scope = Scope(prefix, mine + (f", {span(sql, others)}" if others else ""), condition, mine)
    found = [*operands(sql, where, scope), *members(sql, where, scope)]
    given: tuple[tuple[str, str], ...] = ()
    renewed: tuple[tuple[str, str], ...] = ()
    if kind == UPDATE:
        assigned = between(inside, marks, ("SET",), ("FROM", "WHERE", "RETURNING"))
        found += branches(sql, assigned, scope)
        alias = _alias(inside[start:first])
        each = tuple(_given(sql, assigned, alias))
        given = tuple((name, made) for name, _, made in each)
        renewed = tuple(
            (name, f"({mine})::text IS DISTINCT FROM ({made})::text") for name, mine, made in each
        )
    found += _nested(sql, inside, prefix)
    return DataStatement(
        kind, name, text, scope, bool(where or others), tuple(found), assigned=renewed, given=given
    )


def _given(sql: str, some: Sequence[Token], alias: str) -> Iterator[tuple[str, str, str]]:
    """Read (column, the same as the statement spells it, expression) of each `column = expression`.

    Of those that take a key from a sequence none is asked.
    """
    if not some:
        return
    depth = some[0].depth
    cuts = [at for at, token in enumerate(some) if token.depth == depth and token.text == ","]
    for start, end in zip([0, *(at + 1 for at in cuts)], [*cuts, len(some)], strict=True):
        piece = some[start:end]
        if len(piece) < 3 or piece[0].kind not in (WORD, NAME) or piece[1].text != "=":
            continue
        if {token.word for token in piece} & {"DEFAULT", "NEXTVAL", "SETVAL"}:
            continue
        name = piece[0].text.strip('"') if piece[0].kind == NAME else piece[0].text.lower()
        mine, other = f"{alias}.{piece[0].text}", span(sql, piece[2:])
        # `SET v = v` has triggers fire: no row could make it give another value.
        if other in (piece[0].text, mine):
            continue
        yield name, mine, other


def _insert(sql: str, inside: Sequence[Token], prefix: str) -> DataStatement | None:
    if len(inside) < 3 or inside[1].word != "INTO":
        return None
    name, after = _name(sql, inside, 2)
    depth = inside[0].depth
    end = next(
        (
            place
            for place in range(after, len(inside))
            if inside[place].depth == depth
            and (
                inside[place].word == "RETURNING"
                or (
                    inside[place].word == "ON"
                    and place + 1 < len(inside)
                    and inside[place + 1].word == "CONFLICT"
                )
            )
        ),
        len(inside),
    )
    text = span(sql, inside)
    body = inside[after:end]
    blocks = [
        it for it in selects(sql, body, prefix) if it.first.depth == depth or _in_outer_parens(body, it.first)
    ]
    if not blocks:
        return DataStatement(INSERT, name, text)
    found = [one for it in selects(sql, body, prefix) for one in it.branches(sql)]
    scope = blocks[0].scope if len(blocks) == 1 else None
    return DataStatement(INSERT, name, text, scope, True, tuple(found))


def _in_outer_parens(body: Sequence[Token], token: Token) -> bool:
    return bool(body) and body[0].text == "(" and body[0].end <= token.start and body[1] is token


def _nested(sql: str, inside: Sequence[Token], prefix: str) -> Iterator[Branch]:
    for one in selects(sql, inside[1:], prefix):
        yield from one.branches(sql)


def _created(sql: str, some: Sequence[Token]) -> Iterator[DataStatement]:
    """Find the query of CREATE TABLE … AS."""
    words = [token.word for token in some[:6]]
    if "TABLE" not in words:
        return
    start = words.index("TABLE") + 1
    while start < len(some) and some[start].word in {"IF", "NOT", "EXISTS"}:
        start += 1
    name, after = _name(sql, some, start)
    at = next(
        (place for place in range(after, len(some)) if some[place].word == "AS" and some[place].depth == 0),
        None,
    )
    if at is None or [token.word for token in some[-3:]] == ["WITH", "NO", "DATA"]:
        return
    blocks = list(selects(sql, some[at + 1 :], ""))
    if not blocks or not blocks[0].scope.source or takes_none(some[at + 1 :], blocks[0].scope.condition):
        return
    found = [one for it in blocks for one in it.branches(sql)]
    outer = [it for it in blocks if it.first.depth == 0]
    scope = outer[0].scope if len(outer) == 1 and some[at + 1] is outer[0].first else None
    yield DataStatement(INSERT, name, sql, scope, True, tuple(found))


def _read(sql: str, some: Sequence[Token]) -> tuple[DataStatement, ...]:
    """Take a query of the revision's own: what it finds decides what is written, or is written INTO a new table."""
    into = next((at for at, token in enumerate(some) if token.word == "INTO" and token.depth == 0), None)
    if into is not None:
        start = into + 1
        while start < len(some) and some[start].word in {"TEMP", "TEMPORARY", "UNLOGGED", "TABLE"}:
            start += 1
        name, after = _name(sql, some, start)
        behind = sql[some[after].start :] if after < len(some) else ""
        return data_statements(f"CREATE TABLE {name} AS {sql[: some[into].start]} {behind}")
    outer = next((it for it in selects(sql, some, "") if it.first.depth == 0), None)
    if outer is None or not outer.scope.source:
        return ()
    text = sql.strip()
    found = tuple(outer.branches(sql))
    return (
        DataStatement(
            READ, "", text, Scope("", f"({text}) AS airlock_read", "", ""), True, found, inner=outer.scope
        ),
    )


def _merge(sql: str, inside: Sequence[Token], prefix: str) -> DataStatement | None:
    if len(inside) < 3 or inside[1].word != "INTO":
        return None
    name, after = _name(sql, inside, 2)
    marks = clauses(inside, ("USING", "ON"), after)
    text = span(sql, inside)
    if marks.keys() != {"USING", "ON"}:
        return DataStatement(MERGE, name, text, None, True)
    depth = inside[0].depth
    whens = [
        at
        for at, token in enumerate(inside)
        if token.word == "WHEN" and token.depth == depth and at > marks["ON"]
    ]
    if not whens:
        return DataStatement(MERGE, name, text, None, True)
    mine = span(sql, inside[2 : marks["USING"]])
    source = span(sql, inside[marks["USING"] + 1 : marks["ON"]])
    on = span(sql, inside[marks["ON"] + 1 : whens[0]])
    alias = _alias(inside[2 : marks["USING"]])
    found: list[Branch] = []
    for number, at in enumerate(whens):
        arm = inside[at : whens[number + 1] if number + 1 < len(whens) else len(inside)]
        then = next(
            (place for place, token in enumerate(arm) if token.word == "THEN" and token.depth == depth), None
        )
        if then is None:
            continue
        head = [token.word for token in arm[:then]]
        extra = next(
            (place for place, token in enumerate(arm[:then]) if token.word == "AND" and token.depth == depth),
            None,
        )
        condition = span(sql, arm[extra + 1 : then]) if extra is not None else "true"
        if "NOT" not in head[:2]:
            scope = Scope(prefix, f"{mine} JOIN {source} ON ({on})", "", "")
        elif head[2:5] == ["MATCHED", "BY", "SOURCE"]:
            scope = Scope(prefix, mine, f"NOT EXISTS (SELECT FROM {source} WHERE {on})", "")
        else:
            scope = Scope(prefix, f"{source} LEFT JOIN {mine} ON ({on})", f"{alias}.ctid IS NULL", "")
        earlier = [one for one in found if one.scope == scope]
        under = " AND ".join([*(f"({one.condition}) IS NOT TRUE" for one in earlier), f"({condition})"])
        found.append(Branch(span(sql, arm[:then]), under, scope))
    return DataStatement(MERGE, name, text, None, True, tuple(found))


def _alias(some: Sequence[Token]) -> str:
    names = [token for token in some if token.kind in (WORD, NAME) and token.word not in {"AS", "ONLY"}]
    if len(names) > 1 and some[-1] is names[-1] and (len(some) < 2 or some[-2].text != "."):
        return names[-1].text
    return "".join(token.text for token in some if token.word not in {"AS", "ONLY"} and token.text != "*")


def _name(sql: str, some: Sequence[Token], place: int) -> tuple[str, int]:
    """Read a possibly qualified name; return it and the place behind it."""
    while place < len(some) and some[place].word in {"ONLY", "TABLE"}:
        place += 1
    start = place
    while place < len(some) and some[place].kind in (WORD, NAME):
        place += 1
        if place < len(some) and some[place].text == ".":
            place += 1
        else:
            break
    return span(sql, some[start:place]), place


def _listed(some: Sequence[Token], place: int) -> Iterator[str]:
    text, parts = "", some[place:]
    for token in parts:
        if token.word in {"RESTART", "CONTINUE", "CASCADE", "RESTRICT"}:
            break
        if token.text == ",":
            yield text
            text = ""
        elif token.word not in {"ONLY", "TABLE"} and token.text != "*":
            text += token.text
    if text:
        yield text
