"""What a row must hold for the branches of a revision's Python: `if row.kind == "fee" and row.cents < -65536`.

Only conditions that say it of one column each are read, all that stand around a branch together.
"""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING

from airlock.drivers.spelling import literal
from airlock.samples.values import null_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.samples.model import Column, Table

    Held = tuple[tuple[str, object], ...]

# Of a value that only has to be false: NULL, where the column takes one.
_FALSE = ()
_MOST = 8
_BESIDE: dict[type[ast.cmpop], int] = {ast.Eq: 0, ast.LtE: 0, ast.GtE: 0, ast.Lt: -1, ast.Gt: 1}


def held(source: str) -> tuple[Held, ...]:
    """List what rows must hold together to come into a branch, by the names of columns; of a document alone as well."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    found = dict.fromkeys(tuple(dict(one).items()) for one in _branches(tree, ()))
    return tuple(one for one in found if len(one) > 1 or _is_document(one))[:_MOST]


def _is_document(values: Held) -> bool:
    return any(isinstance(value, str) and value.startswith("{") for _, value in values)


def _branches(node: ast.AST, around: Held) -> Iterator[Held]:
    if isinstance(node, ast.If):
        inside = (*around, *_said(node.test))
        yield inside
        for statement in node.body:
            yield from _branches(statement, inside)
        for statement in node.orelse:
            yield from _branches(statement, around)
        return
    if isinstance(node, ast.Match):
        name = _name(node.subject)
        for one in node.cases:
            value = _matched(one.pattern)
            said = (json.dumps(value) if isinstance(value, (dict, list)) else value,)
            inside = (*around, *((name, it) for it in said if name and it is not None))
            yield inside
            for statement in one.body:
                yield from _branches(statement, inside)
        return
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
        yield (*around, *(it for one in node.generators for test in one.ifs for it in _said(test)))
    for inner in ast.iter_child_nodes(node):
        yield from _branches(inner, around)


def _said(test: ast.expr) -> Iterator[tuple[str, object]]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for one in test.values:
            yield from _said(one)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        if name := _name(test.operand):
            yield name, _FALSE
    elif isinstance(test, ast.Compare) and len(test.ops) == 1:
        name, there = _name(test.left), test.comparators[0]
        if not name:
            return
        if isinstance(test.ops[0], ast.Is) and isinstance(there, ast.Constant) and there.value is None:
            yield name, None
        elif isinstance(test.ops[0], ast.In) and isinstance(there, (ast.Tuple, ast.List, ast.Set)):
            yield from ((name, it.value) for it in there.elts[:1] if isinstance(it, ast.Constant))
        elif type(test.ops[0]) in _BESIDE:
            yield from ((name, value) for value in _beside(test.ops[0], there))
    elif isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and len(test.args) == 1:
        name, part = _name(test.func.value), test.args[0]
        if name and isinstance(part, ast.Constant) and isinstance(part.value, str):
            ends = {"startswith": f"{part.value}x", "endswith": f"x{part.value}"}
            yield from ((name, ends[it]) for it in ends if it == test.func.attr)


def _matched(pattern: ast.pattern) -> object:
    """Give a value that a pattern matches: its constants, the keys of its documents; None where it takes anything."""
    if isinstance(pattern, ast.MatchValue):
        return pattern.value.value if isinstance(pattern.value, ast.Constant) else None
    if isinstance(pattern, ast.MatchOr):
        return _matched(pattern.patterns[0])
    if isinstance(pattern, ast.MatchSequence):
        return [_matched(one) or 1 for one in pattern.patterns]
    if isinstance(pattern, ast.MatchMapping):
        pairs = zip(pattern.keys, pattern.patterns, strict=True)
        return {str(key.value): _matched(one) or 1 for key, one in pairs if isinstance(key, ast.Constant)}
    return None


def _beside(operator: ast.cmpop, there: ast.expr) -> Iterator[object]:
    try:
        value = ast.literal_eval(there)
    except (ValueError, TypeError):
        return
    step = _BESIDE[type(operator)]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value + step
    elif isinstance(value, (str, bool)) and not step:
        yield value


def _name(node: ast.expr) -> str:
    """Name the column that an expression may be of: an attribute, a key, a variable; lower() and strip() change little."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value if isinstance(node.slice.value, str) else ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return _name(node.func.value)
    return node.id if isinstance(node, ast.Name) else ""


def spelled(table: Table, values: Held) -> dict[str, str]:
    """Spell what such a row holds in the columns of a table; nothing where too few of them are its own."""
    by_name = {column.name: column for column in table.columns}
    found = {name: _spelled(by_name[name], value) for name, value in values if name in by_name}
    return found if len(found) > 1 or (found and _is_document(values)) else {}


def _spelled(column: Column, value: object) -> str:
    if value is None or (value == _FALSE and column.nullable):
        return null_of(column)
    if value == _FALSE:
        value = {"N": 0, "B": False}.get(column.category, "")
    return f"{literal(value)}::{column.type}" if isinstance(value, str) else f"({value})::{column.type}"
