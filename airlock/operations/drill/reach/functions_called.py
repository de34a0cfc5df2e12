"""Which functions a statement may call, by their bodies: named in it, in what it calls, or behind the tables it writes.

More than it does call, never fewer: a name that stands there is taken for a call, and probes tell what was entered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.drivers.spelling import command, identifiers, start
from airlock.operations.drill.reach import through_views
from airlock.recorder.tokens import NAME, NUMBER, STRING, WORD, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import Any

    from airlock.operations.drill.reach.through_views import View

_FUNCTIONS = """
SELECT p.oid::bigint, p.proname::text, l.lanname::text,
  CASE WHEN p.prosrc <> '' THEN p.prosrc ELSE coalesce(substring(pg_get_functiondef(p.oid)
    from '\\n(?:BEGIN ATOMIC\\s+(?=.*;\\s+END\\s*$)|RETURN )(.*?)(?:;\\s+END)?\\s*$'), '') END,
  p.prorettype = 'trigger'::regtype,
  coalesce(p.proargnames, '{}')::text[]
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE EXISTS (SELECT FROM pg_rewrite WHERE ev_type <> '1' AND oid >= 16384)
"""
# What fires or is computed when rows of a relation are written: by itself, below it, and where a key leads.
_RELATIONS = """
SELECT c.relname::text, concat_ws(' ',
  (SELECT string_agg(pg_get_expr(a.adbin, a.adrelid), ' ') FROM pg_attrdef a WHERE a.adrelid = c.oid),
  (SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'),
  (SELECT string_agg(pg_get_ruledef(r.oid), ' ') FROM pg_rewrite r WHERE r.ev_class = c.oid),
  (SELECT string_agg(quote_ident(t.typname), ' ') FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
   WHERE a.attrelid = c.oid AND t.typtype = 'd'),
  (SELECT string_agg(quote_ident(p.relname), ' ') FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
   WHERE i.inhparent = c.oid),
  (SELECT string_agg(k.conrelid::regclass::text, ' ') FROM pg_constraint k
   WHERE k.confrelid = c.oid AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')))),
  (SELECT array_agg(pg_get_ruledef(r.oid)) FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
# What a name stands for whoever uses it, beside a view: what values of a domain pass, who may see a row, what an
# aggregate, an operator or a cast calls. A cast need not be named, and an operator is no word.
_STANDS_FOR = """
SELECT t.typname::text, concat_ws(' ', t.typdefault, (SELECT string_agg(pg_get_constraintdef(k.oid), ' ')
  FROM pg_constraint k WHERE k.contypid = t.oid)) FROM pg_type t WHERE t.typtype = 'd' AND t.oid >= 16384
UNION ALL
SELECT c.relname::text, concat_ws(' ', pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid))
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
UNION ALL
SELECT p.proname::text, concat_ws(' ', f.proname, l.proname) FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
JOIN pg_proc f ON f.oid = a.aggtransfn LEFT JOIN pg_proc l ON l.oid = a.aggfinalfn WHERE p.oid >= 16384
UNION ALL
SELECT o.oprname::text, p.proname::text FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode WHERE p.oid >= 16384
UNION ALL
SELECT '', p.proname::text FROM pg_cast c JOIN pg_proc p ON p.oid = c.castfunc WHERE p.oid >= 16384
"""
_TRIGGERS = """
SELECT c.relname::text, t.tgname::text, t.tgfoid::bigint, t.tgtype::int, pg_get_triggerdef(t.oid),
  t.tgqual IS NOT NULL,
  (SELECT coalesce(array_agg(a.attname::text), '{}') FROM pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum = ANY (t.tgattr::int2[]))
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
"""
_MAKING = re.compile(r"CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_DEFINING = frozenset({"CREATE", "ALTER", "DROP", "DO", "CALL", "COMMENT"})
_WRITING = frozenset(
    {"INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "TRUNCATE", "WITH", "DO", "CALL", "EXECUTE"}
)
# The definitions that compute rows as they are made.
_FILLING = re.compile(
    r"\s*CREATE\s+((TEMP|TEMPORARY|UNLOGGED)\s+)?(TABLE|MATERIALIZED\s+VIEW)\b.*\bAS\b",
    re.IGNORECASE | re.DOTALL,
)
_EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the project's own."""

    oid: int
    name: str
    language: str
    body: str
    is_trigger: bool
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger: on which table, for which operations, and its WHEN."""

    table: str
    name: str
    function: int
    events: frozenset[str]
    when: str
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Known:
    """What a database has of functions, triggers and rules."""

    functions: Mapping[int, Function] = field(default_factory=dict)
    relations: Mapping[str, frozenset[str]] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] = ()
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stands_for: tuple[tuple[str, frozenset[str]], ...] = ()

    def called(self, statement: str) -> tuple[Function, ...]:
        """List the functions that a statement may get to."""
        kind = command(statement)
        if not self.functions or not calls(statement):
            return ()
        named = set(identifiers(statement))
        writes = kind in _WRITING
        found: dict[int, Function] = {}
        text = statement
        while True:
            before = len(named)
            named |= {
                word for name, words in self.stands_for if _is_used(name, named, text) for word in words
            }
            behind = {one.function for one in self.triggers if writes and one.table.lower() in named}
            more = [
                one
                for one in self.functions.values()
                if one.oid not in found
                and (one.oid in behind if one.is_trigger else one.name.lower() in named)
            ]
            # An ALTER fires no trigger, and reads rows through what is defined on them: a CHECK that it validates.
            through = writes or kind == "ALTER"
            tables = {
                word for name, words in self.relations.items() if through and name in named for word in words
            }
            if not more and tables <= named and before == len(named):
                return tuple(found[oid] for oid in sorted(found))
            named |= tables
            for one in more:
                found[one.oid] = one
                text = f"{text}\n{one.body}"
                named |= identifiers(one.body)
                writes = writes or _writes(one.body)

    def behind(self, table: str, statement: str) -> tuple[Trigger, ...]:
        """List the triggers with a WHEN that a statement on a table may fire."""
        kind, named = command(statement), identifiers(statement)
        kinds = {"INSERT", "UPDATE", "DELETE"} if kind in {"MERGE", "WITH"} else {kind}
        return tuple(
            one
            for one in self.triggers
            if one.when and one.table == table and one.events & kinds
            and (not one.columns or "UPDATE" not in kinds or {it.lower() for it in one.columns} & named)
        )  # fmt: skip


class Functions:
    """What is known of a database's functions, read when first asked for and after what may have changed them."""

    def __init__(self) -> None:
        self._known: Known | None = None
        self._made_of: list[Any] | None = None

    def forget(self) -> None:
        """Read again when next asked."""
        self._known = self._made_of = None

    def views(self, asked: Callable[[str], list[Any] | None]) -> dict[str, View]:
        """Read what the views are made of."""
        return through_views.read(self._views(asked))

    def known(self, asked: Callable[[str], list[Any] | None]) -> Known:
        """Read them; five questions, or one where there are none."""
        if self._known is None:
            self._known = _read(asked, self._views)
        return self._known

    def _views(self, asked: Callable[[str], list[Any] | None]) -> list[Any]:
        if self._made_of is None:
            self._made_of = asked(through_views.VIEWS) or []
        return self._made_of


def defines(statement: str) -> bool:
    """Tell whether a statement may make, change or drop a function, a trigger or a rule."""
    return command(statement) in _DEFINING


def makes_function(statement: str) -> bool:
    """Tell whether a statement makes a function or a procedure."""
    return _MAKING.match(statement, start(statement)) is not None


def calls(statement: str) -> bool:
    """Tell whether a statement may call functions at all: most definitions call none."""
    return command(statement) != "CREATE" or _FILLING.match(statement) is not None


def converts(statement: str) -> bool:
    """Tell whether a definition may compute values of rows that are there."""
    return (
        command(statement) == "ALTER"
        and re.search(r"\b(USING|DEFAULT|GENERATED|TYPE|ADD|VALIDATE|ATTACH)\b", statement, re.IGNORECASE)
        is not None
    )


def _read(
    asked: Callable[[str], list[Any] | None], views: Callable[[Callable[[str], list[Any] | None]], list[Any]]
) -> Known:
    rows = asked(_FUNCTIONS)
    if not rows:
        return Known()
    functions = {
        int(row[0]): Function(int(row[0]), str(row[1]), str(row[2]), str(row[3]), bool(row[4]), tuple(row[5]))
        for row in rows
        if row[0] is not None
    }
    relations: dict[str, frozenset[str]] = {}
    rules: dict[str, tuple[str, ...]] = {}
    for row in asked(_RELATIONS) or ():
        name = str(row[0]).lower()
        relations[name] = relations.get(name, frozenset()) | identifiers(str(row[1] or "").lower())
        if row[2]:
            rules[name] = tuple(str(one) for one in row[2])
    triggers = tuple(
        Trigger(
            str(row[0]), str(row[1]), int(row[2]),
            frozenset(event for event, bit in _EVENTS.items() if int(row[3]) & bit),
            _when(str(row[4])) if row[5] else "", frozenset(row[6]),
        )
        for row in asked(_TRIGGERS) or ()
    )  # fmt: skip
    stands_for = tuple(
        (str(row[0]).lower(), identifiers(str(row[1] or "")))
        for row in (*views(asked), *(asked(_STANDS_FOR) or ()))
    )
    return Known(functions, relations, triggers, rules, stands_for)


def arguments(statement: str, function: Function) -> tuple[str, ...]:
    """Give the arguments of the first call of a function in a statement, as written."""
    some = tokens(statement)
    for at, token in enumerate(some[:-1]):
        if token.kind not in (WORD, NAME) or token.text.strip('"').lower() != function.name.lower():
            continue
        if some[at + 1].text != "(":
            continue
        found, start, depth = [], some[at + 1].end, some[at + 1].depth
        for inner in some[at + 2 :]:
            if inner.depth <= depth or (inner.depth == depth + 1 and inner.text == ","):
                found.append(statement[start : inner.start].strip())
                start = inner.end
            if inner.depth <= depth:
                return tuple(one for one in found if one)
    return ()


def given(statement: str, function: Function) -> frozenset[str]:
    """Name the arguments of a function for which a statement gives nothing but constants."""
    return frozenset(
        name.lower()
        for name, text in zip(function.arguments, arguments(statement, function), strict=False)
        if all(
            one.kind in (STRING, NUMBER) or one.text in {"-", "::"} or one.word.lower() in _OF_CONSTANTS
            for one in tokens(text)
        )
    )


def constants_given(texts: Iterable[str], function: Function) -> str:
    """Give the constants among the arguments that some texts call a function with: its conditions compare rows with them."""
    if not function.arguments:
        return ""
    found = (
        one.text
        for text in texts
        for it in arguments(text, function)
        for one in tokens(it)
        if one.kind in (STRING, NUMBER)
    )
    return ", ".join(dict.fromkeys(found))


_OF_CONSTANTS = frozenset({
    "true", "false", "null", "text", "integer", "int", "bigint", "regclass", "name", "boolean", "date", "numeric", "jsonb",
    "uuid",
})  # fmt: skip


def _is_used(name: str, named: Collection[str], text: str) -> bool:
    """Tell whether a text uses a name, an operator among its signs; what has none may be used by any."""
    return not name or name in named or (not name.replace("_", "").isalnum() and name in text)


def _writes(body: str) -> bool:
    return re.search(r"\b(insert|update|delete|merge|truncate|copy)\b", body, re.IGNORECASE) is not None


def _when(definition: str) -> str:
    """Cut the condition out of what pg_get_triggerdef says."""
    found = re.search(r"\bWHEN \((.*)\) EXECUTE (?:FUNCTION|PROCEDURE)\b", definition, re.DOTALL)
    return found.group(1) if found else ""
