"""Where a revision's Python looks in documents: `doc.get("a", {})["b"]`, and what it has in variables between."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    Path = tuple[str, ...]

_ASKING = frozenset({"get", "pop", "setdefault"})
_MOST = 8


def nested(source: str) -> tuple[Path, ...]:
    """List paths of two keys and more, an asterisk for each element of a list; none where the source cannot be read.

    Of each also what is left without its first key: that may be the name of a row's column.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    known: dict[str, Path] = {}
    for _ in range(3):
        known |= dict(_assigned(tree, known))
    found = [path for path in _asked(tree, known) if len(path) > 1]
    found += [path[1:] for path in found if len(path) > 2]
    return tuple(dict.fromkeys(one for one in found if one[0] != "*"))[:_MOST]


def asked_beside(key: str, source: str) -> tuple[str, ...]:
    """List a key, and those that the source takes by subscript of whatever it takes that one of, and puts nothing under."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return (key,)
    taken = [
        (node.value.id, _key(node.slice), isinstance(node.ctx, ast.Load))
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and _key(node.slice)
    ]
    names = {name for name, one, _ in taken if one == key}
    put = {one for name, one, loaded in taken if not loaded}
    beside = (one for name, one, _ in taken if name in names and one not in put and "," not in one)
    return tuple(dict.fromkeys((key, *beside)))


def _assigned(tree: ast.AST, known: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    for node in ast.walk(tree):
        target: ast.expr | None = None
        value: ast.expr | None = None
        more: Path = ()
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.NamedExpr):
            target, value = node.target, node.value
        elif isinstance(node, (ast.For, ast.comprehension)):
            target, value, more = node.target, node.iter, ("*",)
        path = _path(value, known) if value is not None else ()
        if isinstance(target, ast.Name) and path:
            yield target.id, (*path, *more)


def _asked(tree: ast.AST, known: dict[str, Path]) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Subscript, ast.Call)):
            yield _path(node, known)
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            key, path = _key(node.left), _path(node.comparators[0], known)
            if key and path:
                yield (*path, key)


def _path(node: ast.AST | None, known: dict[str, Path]) -> Path:
    """Tell what is asked of a document; nothing where that is no key, or asked of something else."""
    if isinstance(node, ast.Name):
        return known.get(node.id, ())
    if isinstance(node, ast.BoolOp):
        return _path(node.values[0], known)
    key, of = "", None
    if isinstance(node, ast.Subscript):
        key, of = _key(node.slice), node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ASKING:
        key, of = _key(node.args[0]) if node.args else "", node.func.value
    return (*_path(of, known), key) if key else ()


def _key(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
