"""The project's own modules that a revision imports: what a function there decides, the revision decides.

Of each module only those functions, classes and constants that the revision, or one of them, names.
"""

from __future__ import annotations

import ast
import functools
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

import airlock

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_DEEP, _MOST_FILES, _LARGEST = 3, 20, 200_000
NOT_THE_PROJECT = (
    *{sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")},
    str(Path(airlock.__file__).parent),
)


@functools.cache
def files(path: str) -> tuple[str, ...]:
    """List a revision's file and those of the project's modules that it names anything of, the revision's first.

    To be asked first while env.py runs: then the project's directories are on the path.
    """
    return (path, *_parts(path))


def source(path: Path) -> str:
    """Give the text of a revision, and behind it what it names of the project's modules."""
    texts = [part for parts in _parts(str(path)).values() for part in parts]
    return "\n\n\n".join([path.read_text(), *texts])


@functools.cache
def _parts(path: str) -> dict[str, tuple[str, ...]]:
    """Read what a revision names of each module, by the module's file."""
    found: dict[str, dict[str, None]] = {}
    _follow(path, None, found, 0)
    return {file: tuple(parts) for file, parts in found.items() if parts}


def _follow(path: str, wanted: set[str] | None, found: dict[str, dict[str, None]], depth: int) -> None:
    """Take in what `wanted` names stand for in a file, all of them where None, and go on to the modules they lead to."""
    try:
        text = Path(path).read_text()
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return
    if wanted is None:
        within: list[ast.AST] = [tree]
    else:
        taken, within = found.setdefault(path, {}), []
        own = {name: node for node in tree.body for name in _defined(node)}
        names = set(wanted)
        while names:
            node = own.pop(names.pop(), None)
            if node is None or node in within:
                continue
            within.append(node)
            taken[ast.get_source_segment(text, node) or ""] = None
            names |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    if depth == _MOST_DEEP:
        return
    for file, more in _led_to(tree, within, wanted is None):
        if len(found) < _MOST_FILES and file != path:
            _follow(file, more, found, depth + 1)


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def _led_to(tree: ast.Module, within: list[ast.AST], whole: bool) -> Iterator[tuple[str, set[str]]]:
    """Give the files of the project that some nodes use names of, with those names."""
    used = {one.id for node in within for one in ast.walk(node) if isinstance(one, ast.Name)}
    attributes = [
        (ast.unparse(one.value), one.attr)
        for node in within
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                called = name.asname or name.name
                if not whole and called not in used:
                    continue
                below = _file(f"{node.module}.{name.name}")
                if below:
                    yield below, {attr for of, attr in attributes if of == called}
                elif file := _file(node.module):
                    yield file, {name.name}
        elif isinstance(node, ast.Import):
            for name in node.names:
                called = name.asname or name.name
                more = {attr for of, attr in attributes if of == called}
                if more and (file := _file(name.name)):
                    yield file, more


def _file(name: str) -> str:
    """Find the file of a module of the project's own, without importing it; empty where there is none."""
    module = sys.modules.get(name)
    found = getattr(module, "__file__", None) if module is not None else _searched(name)
    if not found or not found.endswith(".py") or found.startswith(NOT_THE_PROJECT):
        return ""
    return found if Path(found).is_file() and Path(found).stat().st_size < _LARGEST else ""


def _searched(name: str) -> str:
    locations: list[str] | None = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        if end > 1 and locations is None:
            return ""
        spec = PathFinder.find_spec(".".join(parts[:end]), locations)
        if spec is None:
            return ""
        locations = spec.submodule_search_locations and list(spec.submodule_search_locations)
    return spec.origin or "" if spec is not None else ""
