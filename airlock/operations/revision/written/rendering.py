"""Statements as the Python of a revision: plain `op.execute` lines, as a formatter would leave them."""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import TYPE_CHECKING, Any

from alembic.autogenerate import renderers
from alembic.operations import ops

from airlock.operations.revision.written.alembic_operations import spoken
from airlock.operations.revision.written.calls import WIDTH, python
from airlock.operations.revision.written.clauses import bound
from airlock.operations.revision.written.folding import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from alembic.autogenerate.api import AutogenContext

    from airlock.operations.revision.model_types import Words
    from airlock.operations.revision.parts import Sql
    from airlock.operations.revision.written.calls import Call


# Behind it a name may be another thing's.
_NAMES_CHANGE = re.compile(r"\b(?:RENAME|DROP)\b")


class StatementsOp(ops.MigrateOperation):
    """Statements of one direction of one revision: as Alembic's operations, and as SQL where there is none.

    `words` are what columns are said with; None: all is said as SQL.
    """

    def __init__(self, what: str, statements: tuple[Sql, ...], words: Words | None = None) -> None:
        self.what = what
        self.statements = statements
        self.words = words

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Count as a difference, so that `alembic check` fails."""
        return ("airlock", self.what, tuple(one.text for one in self.statements))


@renderers.dispatch_for(StatementsOp)
def _render(_context: AutogenContext, operation: StatementsOp) -> str:
    return render(operation)


def render(operation: StatementsOp) -> str:
    """Spell an operation as the body of a revision's function."""
    return "\n".join(lines(operation.statements, operation.words)) or "pass"


def lines(statements: tuple[Sql, ...], words: Words | None = None) -> Iterator[str]:
    """Spell statements as lines of Python; without `words`, as SQL."""
    for autocommit, group in itertools.groupby(statements, key=lambda one: one.autocommit):
        indent = 8 if autocommit else 4
        inner = [line for one, said in _said(group, words) for line in _statement(one, said, indent)]
        if autocommit:
            yield "with op.get_context().autocommit_block():"
            yield from ("    " + line if line else line for line in "\n".join(inner).split("\n"))
        else:
            yield from inner


def _said(group: Iterable[Sql], words: Words | None) -> Iterator[tuple[Sql, Sequence[Call] | None]]:
    """Say each statement in Alembic's words, where there are any; a comment with what it is about, where that is made."""
    said: list[tuple[Sql, Sequence[Call] | None]] = [
        (one, spoken(one.text, words) if words is not None else None) for one in group
    ]
    while said:
        (one, calls), *said = said
        if calls:
            made, *more = calls
            for place, (other, later) in enumerate(said):
                if _NAMES_CHANGE.search(other.text):
                    break
                if later is not None and len(later) == 1 and other.note is None:
                    made, left = folded(made, later)
                    said[place] = (other, left)
            calls = [made, *more]
        if calls is None or calls:
            yield one, calls


def _statement(one: Sql, said: Sequence[Call] | None, indent: int) -> Iterator[str]:
    """Spell one statement as a formatter would leave it."""
    if one.note:
        yield textwrap.fill(
            one.note, WIDTH - indent, initial_indent="# ", subsequent_indent="#   ", break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
    if said is not None:
        yield from (operation.laid_out(indent) for operation in said)
        return
    text = bound(one.text)
    if "\n" in text and not _literal_newline(text):
        body = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        yield 'op.execute(\n    """\n' + textwrap.indent(body, "    ") + '\n    """\n)'
    elif len(f"op.execute({python(text)})") <= WIDTH - indent:
        yield f"op.execute({python(text)})"
    elif len(python(text)) <= WIDTH - indent - 4:
        yield f"op.execute(\n    {python(text)}\n)"
    else:
        yield _long(text)


def _literal_newline(text: str) -> bool:
    """Tell whether a line ends inside a string constant, which indentation would change."""
    return any(text[: found.start()].count("'") % 2 for found in re.finditer(r"\n", text))


def _long(text: str) -> str:
    pieces = textwrap.wrap(text, 90, break_long_words=False, break_on_hyphens=False, drop_whitespace=False)
    if "".join(pieces) != text:
        return f"op.execute({python(text)})"
    return "op.execute(\n" + "\n".join(f"    {python(piece)}" for piece in pieces) + "\n)"
