"""The floors of airlock stand on each other in one order, and app, alembic and airlock do not know each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {"words": 0, "instruments": 1, "acts": 2, "faces": 3, "door": 4, "cli": 4, "__main__": 4}


def imports(source: str) -> Iterator[str]:
    """Yield every imported module, at module level or inside a function, but those for type checking only."""
    tree = ast.parse(source)
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for child in block.body
        for node in ast.walk(child)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            raise AssertionError("relative import: write the whole name, so that floors can be read")


def floor(module: str) -> int | None:
    parts = module.split(".")
    return FLOORS.get(parts[1]) if len(parts) > 1 and parts[0] == "airlock" else None


def faults(path: Path, source: str) -> list[str]:
    """List the imports that this file may not have."""
    relative = path.relative_to(ROOT)
    top = relative.parts[0]
    found = []
    for name in imports(source):
        package = name.split(".")[0]
        if top == "airlock":
            here = FLOORS.get(relative.with_suffix("").parts[1], 0)
            there = floor(name)
            if package in {"app", "tests"} or (there is not None and there > here):
                found.append(f"{relative} imports {name}")
            # Faces have no database, and they do not run acts.
            if here == 3 and (package in {"psycopg2", "sqlalchemy", "alembic"} or there in {1, 2}):
                found.append(f"{relative} imports {name}")
        elif (top == "app" and package in {"airlock", "tests"}) or (
            "versions" in relative.parts and package not in {"alembic", "sqlalchemy", "__future__"}
        ):
            found.append(f"{relative} imports {name}")
    return found


FILES = sorted(path for top in ("airlock", "app", "alembic") for path in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_from_lower_floors(path: Path) -> None:
    """Words < instruments < acts < faces < door; the three trees stay apart."""
    assert faults(path, path.read_text()) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("airlock/words/x.py", "from airlock.instruments import server"),
        ("airlock/instruments/x.py", "def f():\n    import airlock.acts.drill"),
        ("airlock/acts/x.py", "from airlock.faces.text import table"),
        ("airlock/faces/x.py", "import psycopg2"),
        ("airlock/acts/x.py", "import app.models"),
        ("app/x.py", "import airlock"),
        ("alembic/versions/x.py", "import sqlmodel"),
    ],
)
def test_a_forbidden_import_is_seen(file: str, source: str) -> None:
    """The reader of imports finds each kind of fault."""
    assert faults(ROOT / file, source)


def test_only_the_door_prints_or_exits() -> None:
    """No print, sys.exit or sys.stdout outside airlock/door, cli.py and __main__.py."""
    guilty = []
    for path in (ROOT / "airlock").rglob("*.py"):
        if FLOORS.get(path.relative_to(ROOT / "airlock").with_suffix("").parts[0]) == 4:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            text = ast.unparse(node) if isinstance(node, ast.Call) else ""
            if text.startswith(("print(", "sys.exit(", "sys.stdout.")):
                guilty.append(f"{path.relative_to(ROOT)}:{node.lineno} {text[:40]}")  # type: ignore[attr-defined]
    assert guilty == []
