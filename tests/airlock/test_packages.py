"""The packages of airlock import only those below them, no file is part of a circle, and the three trees stay apart."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# From the bottom up: a package imports only what stands before it.
ORDER = (
    "records", "drivers", "database", "project", "scratch", "catalogue", "recorder", "samples", "operations",
    "reports", "api", "pytest_plugin", "commands", "cli", "__main__",
)  # fmt: skip
# Inside a package the command line is built of, nothing is printed and nothing exits.
PRINTS = {"commands", "cli", "__main__"}


@cache
def parsed(source: str) -> ast.Module:
    """Parse a file once for all the tests."""
    return ast.parse(source)


def imports(source: str) -> Iterator[str]:
    """Yield every imported name, at module level, inside a function or for type checking only."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import: write the whole name, so that the order can be read"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(module: str) -> int | None:
    """Give the place of a module's package in the order; None outside airlock and for `airlock` itself."""
    top, _, rest = module.partition(".")
    name = rest.split(".")[0]
    return ORDER.index(name) if top == "airlock" and name in ORDER else None


def faults(path: Path, source: str) -> list[str]:
    """List the imports that this file may not have."""
    relative = path.relative_to(ROOT)
    parts = relative.with_suffix("").parts
    here = place(".".join(parts))
    found = []
    for name in imports(source):
        package, there = name.split(".")[0], place(name)
        if parts[0] == "airlock":
            upwards = here is not None and there is not None and there > here
            # Reports have no database, and they run no operation: they see records.
            reads = parts[1] == "reports" and (
                package in {"psycopg2", "psycopg", "asyncpg", "sqlalchemy", "alembic"}
                or (there is not None and there not in {ORDER.index("records"), here})
            )
            if package in {"app", "tests"} or upwards or reads:
                found.append(f"{relative} imports {name}")
        elif (parts[0] == "app" and package in {"airlock", "tests"}) or (
            "versions" in parts and package not in {"alembic", "sqlalchemy", "__future__"}
        ):
            found.append(f"{relative} imports {name}")
    return found


def circles(edges: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """Find the sets of modules that import each other, by Tarjan's walk."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        path.append(module)
        for other in edges.get(module, ()):
            if other not in number:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in path:
                low[module] = min(low[module], number[other])
        if low[module] == number[module]:
            circle = path[path.index(module) :]
            del path[path.index(module) :]
            if len(circle) > 1:
                found.add(frozenset(circle))

    for module in edges:
        if module not in number:
            visit(module)
    return found


def edges(tree: str) -> dict[str, set[str]]:
    """Read which module of airlock or of the application imports which."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / tree).rglob("*.py")
    }
    found: dict[str, set[str]] = defaultdict(set)
    for module, path in names.items():
        for name in imports(path.read_text()):
            other = name if name in names else name.rpartition(".")[0]
            if other in names and other != module:
                found[module].add(other)
    return found


FILES = sorted(path for top in ("airlock", "app", "alembic") for path in (ROOT / top).rglob("*.py"))


def test_files_import_only_from_packages_below() -> None:
    """Records < drivers < database < ... < commands; app, alembic/versions and airlock stay apart."""
    assert [fault for path in FILES for fault in faults(path, path.read_text())] == []


def test_every_package_has_its_place() -> None:
    """A new package must be put into the order before anything may be in it."""
    there = {
        path.relative_to(ROOT / "airlock").with_suffix("").parts[0]
        for path in FILES
        if "airlock" in path.parts
    }
    assert {name for name in there if (ROOT / "airlock" / name).is_dir()} <= set(ORDER)


@pytest.mark.parametrize("tree", ["airlock", "app"])
def test_no_circle_of_imports_stands(tree: str) -> None:
    """Imports for type checking count: who needs another's type knows the other."""
    assert circles(edges(tree)) == set()


def test_the_drawing_is_what_the_imports_say() -> None:
    """docs/architecture.md draws every arrow between packages, and none that is not there."""
    page = (ROOT / "docs/architecture.md").read_text()
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", page, re.MULTILINE))
    packages = {
        (module.split(".")[1], other.split(".")[1])
        for module, others in edges("airlock").items()
        for other in others
        if module.count(".") and other.count(".")
    }
    assert drawn == {(one, other) for one, other in packages if one != other}


def test_a_circle_is_seen() -> None:
    """The walk finds a circle of three behind a module that is in none."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == {frozenset("bcd")}


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("airlock/records/x.py", "from airlock.database import server"),
        ("airlock/database/x.py", "def f():\n    import airlock.operations.drill"),
        ("airlock/project/x.py", "from airlock.scratch import redirect"),
        ("airlock/operations/x.py", "from airlock.reports.text import table"),
        ("airlock/reports/x.py", "import psycopg2"),
        ("airlock/reports/x.py", "from airlock.operations import drill"),
        ("airlock/operations/x.py", "import app.models"),
        ("app/x.py", "import airlock"),
        ("alembic/versions/x.py", "import sqlmodel"),
    ],
)
def test_a_forbidden_import_is_seen(file: str, source: str) -> None:
    """The reader of imports finds each kind of fault."""
    assert faults(ROOT / file, source)


def test_only_commands_print_or_exit() -> None:
    """No print, sys.exit or sys.stdout outside airlock/commands, cli.py and __main__.py."""
    guilty = []
    for path in (ROOT / "airlock").rglob("*.py"):
        if path.relative_to(ROOT / "airlock").with_suffix("").parts[0] in PRINTS:
            continue
        for node in ast.walk(parsed(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in ("print", "sys.exit") or called.startswith("sys.stdout."):
                guilty.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    assert guilty == []


def test_every_phase_of_the_drill_is_told_where_their_order_stands() -> None:
    """The docstring of the package names each of its modules, and none that is not there."""
    package = ROOT / "airlock/operations/drill/phases"
    told = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    names = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`([a-z_]+)`", told)) == names
