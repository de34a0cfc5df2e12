"""Comments on what the same revision makes: said where it is made, as one writes them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.operations.revision.written.calls import Call

if TYPE_CHECKING:
    from collections.abc import Sequence


def folded(made: Call, later: Sequence[Call]) -> tuple[Call, tuple[Call, ...]]:
    """Put comments of `later` into the call that makes their table or column; give the rest as it is. Pure."""
    rest: list[Call] = []
    for one in later:
        with_it = _with(made, one)
        if with_it is None:
            rest.append(one)
        else:
            made = with_it
    return made, tuple(rest)


def _with(made: Call, comment: Call) -> Call | None:
    if made.opens not in ("op.create_table(", "op.add_column(") or not made.arguments:
        return None
    if comment.arguments[:1] != made.arguments[:1] or _schema(comment) != _schema(made):
        return None
    told = [one for one in comment.arguments[1:] if one != _schema(comment)]
    if comment.opens == "op.create_table_comment(" and made.opens == "op.create_table(":
        before = [one for one in made.arguments if one != _schema(made)]
        after = [one for one in (_schema(made),) if one is not None]
        return dataclasses.replace(made, arguments=(*before, *after, f"comment={told[0]}"))
    if comment.opens != "op.alter_column(" or len(told) != 2 or not str(told[1]).startswith("comment="):
        return None
    for place, one in enumerate(made.arguments):
        if isinstance(one, Call) and one.opens == "sa.Column(" and one.arguments[0] == told[0]:
            column = dataclasses.replace(one, arguments=(*one.arguments, told[1]))
            return dataclasses.replace(
                made, arguments=(*made.arguments[:place], column, *made.arguments[place + 1 :])
            )
    return None


def _schema(one: Call) -> str | None:
    return next((it for it in one.arguments if isinstance(it, str) and it.startswith("schema=")), None)
