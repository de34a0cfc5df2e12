"""What the functions of a revision's Python do: which of them write, which answer with rows, and which are given rows.

Those of the project's modules that the revision names as well. Read by their names, wherever they are called.
"""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airlock.operations.drill.reach.modules_called import files
from airlock.recorder.catalogue_queries import asks_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

SENDING = frozenset({"execute", "exec_driver_sql", "scalar", "scalars", "query"})
_WRITING = frozenset({
    "execute", "exec_driver_sql", "executemany", "bulk_insert", "add_all", "bulk_save_objects", "bulk_insert_mappings",
    "bulk_update_mappings", "copy_expert", "copy_from",
})  # fmt: skip
# What is otherwise in another place, or on another day.
_ENVIRONMENT = frozenset(
    {"environ", "getenv", "get_x_argument", "today", "now", "utcnow", "gethostname", "getuser"}
)
_CLOCKS = frozenset({"today", "now", "utcnow"})
# Without a FROM no row decides it: what the server itself says, of its objects and settings.
_OF_THE_SERVER = re.compile(
    r"(?is)\s*(?:SHOW\b|SELECT\b(?!.*\bFROM\b).*\b(?:to_reg\w+|pg_\w+|current_\w+|has_\w+_privilege|version)\b)"
)
_MOST_ROUNDS = 4

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions of a revision and of its modules: `names` of those that write, that answer with rows, and what rows are.

    `rows` are the parameters of each function that are given what queries answered; `elsewhere` names what the environment says.
    A function that asks the catalogue alone (is that column there?) answers with none: the history decides it.
    """

    writing: frozenset[str] = frozenset()
    answering: frozenset[str] = frozenset()
    rows: tuple[tuple[str, str], ...] = ()
    elsewhere: frozenset[str] = frozenset()
    # Names of queries that ask the catalogue alone.
    of_catalogue: frozenset[str] = frozenset()
    # File, first and last line of each, by its name.
    places: tuple[tuple[str, str, int, int], ...] = ()

    def given(self, name: str) -> set[str]:
        """Name the parameters of a function that are given rows."""
        return {parameter for function, parameter in self.rows if function == name}


@functools.cache
def parsed(path: str) -> tuple[str, ast.Module]:
    """Read a revision's file and its syntax tree; both empty where it cannot be."""
    try:
        source = Path(path).read_text()
        return source, ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return "", ast.Module([], [])


@functools.cache
def functions(path: str) -> Functions:
    """Read the functions of a revision's file, and of those modules that it names."""
    trees = [(file, parsed(file)[1]) for file in files(path)]
    known = [(file, node) for file, tree in trees for node in ast.walk(tree) if isinstance(node, Function)]
    found = Functions(
        elsewhere=frozenset(_elsewhere([tree for _, tree in trees])),
        of_catalogue=frozenset(_of_catalogue([it for _, tree in trees for it in tree.body])),
        places=tuple((node.name, file, node.lineno, node.end_lineno or node.lineno) for file, node in known),
    )
    own = {node.name for _, node in known} - {"upgrade", "downgrade"}
    if not own:
        return found
    for _ in range(_MOST_ROUNDS):
        writing, answering, rows = set(found.writing), set(found.answering), set(found.rows)
        for _, node in known:
            known_here = replace(found, of_catalogue=found.of_catalogue | _of_catalogue(ast.walk(node)))
            answers = answers_of(node, known_here, of_rows=True)
            if node.name in own and any(
                called in _WRITING or called in found.writing for called in _called(node)
            ):
                writing.add(node.name)
            for inner in ast.walk(node):
                if isinstance(inner, (ast.Return, ast.Yield, ast.YieldFrom)) and inner.value is not None:
                    answering |= (
                        {node.name} & own if asks(inner.value, answers, known_here, of_rows=True) else set()
                    )
                elif isinstance(inner, ast.Call):
                    rows |= set(_given_rows(inner, [it for _, it in known], answers, known_here))
        more = replace(
            found, writing=frozenset(writing), answering=frozenset(answering), rows=tuple(sorted(rows))
        )
        if more == found:
            break
        found = more
    return found


def _called(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            yield name_of(node.func)


def name_of(node: ast.AST) -> str:
    """Give the last part of a name: `fix` of `self.fix` and of `fix`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _given_rows(
    call: ast.Call, known: list[Function], answers: AbstractSet[str], found: Functions
) -> Iterator[tuple[str, str]]:
    name = name_of(call.func)
    for function in known if name not in SENDING else ():
        if function.name != name:
            continue
        parameters = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
        if parameters[:1] in (["self"], ["cls"]):
            del parameters[0]
        for parameter, value in zip(parameters, call.args, strict=False):
            if asks(value, answers, found, of_rows=True):
                yield name, parameter
        yield from (
            (name, one.arg)
            for one in call.keywords
            if one.arg and asks(one.value, answers, found, of_rows=True)
        )


def answers_of(function: ast.AST, known: Functions | None = None, *, of_rows: bool = False) -> set[str]:
    """Name the variables that hold what queries answered, and what is made of those; `of_rows` as `asks` has it."""
    known = known or Functions()
    names = known.given(getattr(function, "name", ""))
    assigned: list[tuple[ast.expr, list[ast.expr]]] = [
        (node.value, node.targets if isinstance(node, ast.Assign) else [node.target])
        for node in ast.walk(function)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None
    ]
    if known.writing or known.answering:
        # What a loop hands on to another function.
        assigned += [
            (node.iter, [node.target])
            for node in ast.walk(function)
            if isinstance(node, (ast.For, ast.comprehension))
        ]
    for _ in range(3):
        for value, targets in assigned:
            if asks(value, names, known, of_rows=of_rows):
                names |= {it.id for target in targets for it in ast.walk(target) if isinstance(it, ast.Name)}
    return names


def asks(
    expression: ast.AST, answers: AbstractSet[str], known: Functions | None = None, *, of_rows: bool = False
) -> bool:
    """Tell whether an expression holds what a query answered, or sends one; `of_rows` not one that asks the catalogue alone."""
    answering = known.answering if known is not None else frozenset()
    named = known.of_catalogue if known is not None else frozenset()
    return any(
        (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in SENDING
            # Without an argument it is a result that is asked: `execute(query).scalar()`.
            and (node.args or node.keywords)
            and not (
                of_rows and node.args and (is_of_catalogue(node.args[0]) or name_of(node.args[0]) in named)
            )
        )
        or (isinstance(node, ast.Name) and node.id in answers)
        or (isinstance(node, ast.Call) and name_of(node.func) in answering)
        for node in ast.walk(expression)
    )


def rests_on_the_environment(test: ast.AST, known: Functions) -> bool:
    """Tell whether a condition is about the environment, Alembic's -x arguments, or the day."""
    return any(
        name in _ENVIRONMENT
        # `settings.CLEAN` is another module's; `dialect.name` is nobody's variable.
        or (name in known.elsewhere and (isinstance(node, ast.Name) or name.isupper()))
        for node in ast.walk(test)
        if (name := name_of(node))
    )


def _elsewhere(trees: list[ast.Module]) -> Iterator[str]:
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(name_of(one) in _ENVIRONMENT - _CLOCKS for one in ast.walk(node.value)):
                    yield from (name_of(one) for one in targets if name_of(one))


def is_of_catalogue(sql: ast.expr) -> bool:
    """Tell whether a query that is spelt here asks the catalogue, or the server, and no table."""
    text = spelt(sql)
    return asks_catalogue(text) or bool(_OF_THE_SERVER.match(text))


def _of_catalogue(nodes: Iterable[ast.AST]) -> set[str]:
    """Name what is assigned such queries among some statements, and nothing else."""
    found: set[str] = set()
    others: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Assign):
            names = {name_of(target) for target in node.targets} - {""}
            (found if is_of_catalogue(node.value) else others).update(names)
    return found - others


def spelt(sql: ast.expr) -> str:
    """Give the text of a statement that is spelt where it is sent, one letter for what is filled in; "" where it is not."""
    if (
        isinstance(sql, ast.Call)
        and len(sql.args) == 1
        and ast.unparse(sql.func).rpartition(".")[2] == "text"
    ):
        return spelt(sql.args[0])
    if isinstance(sql, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "x" for one in sql.values)
    return sql.value if isinstance(sql, ast.Constant) and isinstance(sql.value, str) else ""
