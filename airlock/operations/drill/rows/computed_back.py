"""Values that a column may take above a step, as the step computes them back: by the expressions of both ways.

Where each way changes the type once, what the downgrade computes of a value, and the upgrade of that again, is the value
or another. A query that asks exactly that takes the place of one that goes by the types alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.drivers.spelling import literal, quoted
from airlock.operations.downgrade.casts import TEXTS, casts, expressions
from airlock.operations.downgrade.held_by_types import guarded, out_of_range, unreadable
from airlock.recorder.tokens import NAME, OTHER, WORD, identifier, tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airlock.operations.downgrade.snapshot import Column

_CAST = re.compile(r"(?is)(.+?)::\s*(?:\w+(?: precision| varying)?(?:\(\d+(?:,\s*\d+)?\))?)")
# A cast to a type of the project: its labels are not the same below.
_TO_OWN = r'(?i)(::|\bAS)\s*(?:"?\w+"?\s*\.\s*)?"?{name}"?(?!\w|\.)'


def exactly(
    column: Column, below: Column, up: Collection[str], down: Collection[str], major: int
) -> tuple[str, ...]:
    """Spell the condition of a value that the two ways do not give back; nothing where they do not tell it.

    `column` is above the step, `below` the same one below it; `up` and `down` are the statements that change types, `major`
    the server's. Where there are several, the first is right that the server takes: it knows the types of expressions.
    """
    there, back = _expression(below.name, column.name, up), _expression(column.name, below.name, down)
    names = (column.name, below.name)
    if there is None or back is None or all(casts(one, names) is not None for one in (there, back)):
        return ()
    types = [one for one in (column, below) if one.labels is not None]
    if types:
        by_label = _of_labels(column, below, there or "{}", back or "{}", names)
        return () if by_label is None else (by_label,)
    inner = with_value(back, names, "{column}") if back else "{column}"
    outer = with_value(there, names, f"(({inner})::{below.type})") if there else f"({inner})::{below.type}"
    differs = f"(({outer})::{column.type})::text IS DISTINCT FROM {{column}}::text"
    if TEXTS.fullmatch(column.base or column.type):
        differs = guarded(differs, *_unreadable(back or f"{quoted(column.name)}::{below.type}", names, major))
    raw = _before_cast(back)
    if raw is None or TEXTS.fullmatch(below.type):
        return (differs,)
    given = with_value(raw, names, "{column}")
    conditions = (unreadable(f"({given})", below.type, major), out_of_range(f"({given})", below.type))
    return tuple(dict.fromkeys(guarded(differs, one) for one in conditions))


def _unreadable(back: str, names: Collection[str], major: int) -> Iterator[str | None]:
    """Spell the conditions of texts that an expression casts to what they cannot be read as; nothing where it asks before."""
    found = tokens(back)
    if any(one.word == "CASE" for one in found):
        return
    for at, token in enumerate(found):
        behind = found[at + 1 : at + 4]
        if token.kind not in (WORD, NAME) or identifier(token) not in names or len(behind) < 2:
            continue
        # A type of one word: of more, and of those with a length, the server is not asked.
        several = len(behind) == 3 and (behind[2].kind in (WORD, NAME) or behind[2].text in (".", "(", "["))
        if (behind[0].text == "::" or behind[0].word == "AS") and not several:
            yield unreadable("{column}::text", behind[1].text, major)


def checked(condition: str, column: Column, below: Column, down: Collection[str]) -> str | None:
    """Spell a CHECK's condition, of values below, with what a downgrade computes of those above; None where it only casts."""
    back, names = _expression(column.name, below.name, down), (column.name, below.name)
    if column.type == below.type or back is None:
        return None
    if casts(back, names) is not None:
        # Numbers are compared with numbers, texts with texts; labels and flags have no operator for what is below, nor has
        # any other type for a text's.
        is_text_below = TEXTS.fullmatch(below.type) and not TEXTS.fullmatch(column.type)
        if column.labels is None and column.type != "boolean" and not is_text_below:
            return None
        back = back or f"{quoted(column.name)}::{below.type}"
    return with_value(
        condition, (column.name,), f"(({with_value(back, names, quoted(column.name))})::{below.type})"
    )


def _expression(name: str, other: str, retypings: Collection[str]) -> str | None:
    """Find what one way computes a column by: nothing where it casts; None where it is not changed by one statement."""
    found = [one for each in dict.fromkeys((name, other)) for one in expressions(each, retypings)]
    if len(found) != 1 or "{" in found[0]:
        return None
    return found[0].strip()


def _of_labels(column: Column, below: Column, there: str, back: str, names: tuple[str, str]) -> str | None:
    """Ask by texts: a type of that name has other labels at the other moment."""
    for one in (column, below):
        if one.labels is not None:
            own = re.compile(_TO_OWN.format(name=re.escape(one.type.rpartition(".")[2].strip('"'))))
            there, back = (own.sub(_as_text, text) for text in (there, back))
    as_below = "text" if below.labels is not None else below.type
    inner = (
        f"({with_value(back, names, '({column}::text)')})::{as_below}" if back != "{}" else "{column}::text"
    )
    outer = f"({with_value(there, names, f'({inner})')})::text" if there != "{}" else inner
    differs = f"{outer} IS DISTINCT FROM {{column}}::text"
    if below.labels is None:
        return differs
    refused = f"{inner} NOT IN ({', '.join(map(literal, below.labels))})"
    return f"CASE WHEN {refused} THEN true ELSE {differs} END"


def _as_text(cast: re.Match[str]) -> str:
    return "::text" if cast[1] == "::" else f"{cast[1]} text"


def _before_cast(back: str) -> str | None:
    """Give what the downgrade casts at last, or all of what it computes; None where more than one cast stands side by side."""
    found = _CAST.fullmatch(back)
    inner = found[1] if found is not None else back
    outside = [one for one in tokens(inner) if one.depth == 0]
    if not inner or any(one.text == "::" for one in outside):
        return None
    if found is not None and any(
        one.kind not in (WORD, NAME) and one.text not in ("(", ")", ".") for one in outside
    ):
        return None
    return inner


def with_value(text: str, names: Collection[str], value: str) -> str:
    """Put a value in the place of a column, named alone or behind its table; a name behind a cast, or of a function, is none."""
    found, parts, place = tokens(text), [], 0
    for at, token in enumerate(found):
        before, behind = (found[at - 1] if at else None), (found[at + 1].text if at + 1 < len(found) else "")
        if token.kind not in (WORD, NAME) or identifier(token) not in names or behind in ("(", "."):
            continue
        start = token.start
        if before is not None and before.kind == OTHER and before.text == "::":
            continue
        if before is not None and before.text == ".":
            start = found[at - 2].start
        parts += [text[place:start], value]
        place = token.end
    return "".join([*parts, text[place:]])
