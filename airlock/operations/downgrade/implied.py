"""What holds below a step because of what holds above it: rules that follow from others, values that another type holds too.

No row that may stand above breaks them, so there is no freedom to count.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import quoted
from airlock.operations.downgrade.casts import TEXTS
from airlock.recorder.tokens import NAME, WORD, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.operations.downgrade.restrictions import Restriction
    from airlock.operations.downgrade.snapshot import Snapshot

# Decimal digits that every whole number of a type fits into.
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_WIDER = (
    ("smallint", "integer", "bigint"),
    ("smallint", "integer", "double precision"),
    ("smallint", "real", "double precision"),
)
# The longest that a value of a type is spelled.
_SPELLED = {"smallint": 6, "integer": 11, "bigint": 20, "boolean": 5, "uuid": 36, "date": 13}
_PAIRS = frozenset({("jsonb", "json"), ("boolean", "integer"), ("cidr", "inet")})
_SIZED = re.compile(r"([a-z ]+?)(?:\((\d+)(?:,(\d+))?\))?( with(?:out)? time zone)?")
_BY_LENGTH = frozenset({"character varying", "bit varying", "timestamp", "time"})
# Of a text alone: what is alike stays alike, and nothing but NULL becomes NULL.
_TELLING = re.compile(r'\(?(?:lower|upper|btrim)\(\(?("(?:[^"]|"")+"|[a-z_][\w$]*)\)?(?:::text)?\)\)?')


def holds(above: str, below: str) -> bool:
    """Tell whether a type below holds every value of the type above, and a cast gives it back as it was."""
    if above.endswith("[]") and below.endswith("[]"):
        return holds(above.removesuffix("[]"), below.removesuffix("[]"))
    if above == below or (above, below) in _PAIRS:
        return True
    if any(above in one and below in one and one.index(above) <= one.index(below) for one in _WIDER):
        return True
    mine, room = _SIZED.fullmatch(above), _SIZED.fullmatch(below)
    if mine is None or room is None:
        return False
    if room[1] == "character varying" and above in _SPELLED:
        return room[2] is None or int(room[2]) >= _SPELLED[above]
    if room[1] == "numeric" and above in _DIGITS:
        return room[2] is None or int(room[2]) - int(room[3] or 0) >= _DIGITS[above]
    if (mine[1], mine[4]) != (room[1], room[4]):
        return False
    if mine[1] == "numeric":
        if room[2] is None or mine[2] is None:
            return room[2] is None
        scale, room_scale = int(mine[3] or 0), int(room[3] or 0)
        return room_scale >= scale and int(room[2]) - room_scale >= int(mine[2]) - scale
    if mine[1] not in _BY_LENGTH:
        return False
    return room[2] is None or (mine[2] is not None and int(room[2]) >= int(mine[2]))


def follows(rule: Restriction, there: Snapshot) -> bool:
    """Tell whether no row breaks a rule since a stricter one stands there: a key of fewer columns, a reference of more."""
    return any(one.table == rule.table and _stricter(one, rule, there) for one in there.restrictions)


def _stricter(one: Restriction, rule: Restriction, there: Snapshot) -> bool:
    if one.kind == rule.kind == "check":
        # The more neighbours it has, the less is left to a default partition.
        return bool(one.beside) and not one.columns and not rule.columns and {*rule.beside} <= {*one.beside}
    if one.kind != rule.kind or (one.text and one.text != rule.text):
        return False
    if rule.kind == "unique":
        columns = {number: there.columns[rule.table, number] for number in rule.columns if number}
        by_number = {one.name: number for number, one in columns.items() if TEXTS.fullmatch(one.type)}
        known = all(one.not_null for one in columns.values())
        return (one.nulls_too or not rule.nulls_too or (known and all(rule.columns))) and _keys(
            one, by_number
        ) <= _keys(rule, by_number)
    if rule.kind == "exclusion":
        return _operators(one) <= _operators(rule)
    if rule.kind == "foreign key" and one.target == rule.target and not (one.period or rule.period):
        if rule.full and not one.full:
            return False
        pairs = set(zip(one.columns, one.target_columns, strict=True))
        mine = set(zip(rule.columns, rule.target_columns, strict=True))
        # A reference with a NULL in it is not looked at.
        return mine <= pairs and all(there.columns[one.table, number].not_null for number, _ in pairs - mine)
    return False


def _keys(rule: Restriction, by_number: Mapping[str, int]) -> frozenset[int | str]:
    """Give the columns that tell rows apart: an expression of one of them does no more than the column itself."""
    found: list[int | str] = []
    for number, spelled in zip(rule.columns, rule.keys, strict=True):
        name = _TELLING.fullmatch(spelled)
        column = None if name is None else by_number.get(name[1].strip('"').replace('""', '"'))
        found.append(number or (spelled if column is None else column))
    return frozenset(found)


def _operators(rule: Restriction) -> frozenset[tuple[int | str, str]]:
    parts = zip(rule.columns, rule.keys, rule.operators, strict=True)
    return frozenset((number or spelled, operator) for number, spelled, operator in parts)


def named_as(rule: Restriction, below: Snapshot, there: Snapshot) -> Restriction | None:
    """Spell a rule of the schema below with the names that columns have at another moment; None where one is not there."""
    names: dict[str, str | None] = {}
    for (table, number), column in below.columns.items():
        if table == rule.table:
            now = there.columns.get((table, number))
            names[column.name] = None if now is None else now.name
    if all(name == now for name, now in names.items()):
        return rule
    text, keys = _renamed(rule.text, names), [_renamed(one, names) for one in rule.keys]
    known = tuple(one for one in keys if one is not None)
    return None if text is None or len(known) < len(keys) else replace(rule, text=text, keys=known)


def _renamed(text: str, names: Mapping[str, str | None]) -> str | None:
    """Put other names in; a word behind a dot or a cast, or before a parenthesis, is no column."""
    found, parts, place = tokens(text), [], 0
    for at, token in enumerate(found):
        before, behind = (
            (found[at - 1].text if at else ""),
            "".join(one.text for one in found[at + 1 : at + 2]),
        )
        bare = token.text.strip('"').replace('""', '"') if token.kind == NAME else token.text
        if token.kind not in (WORD, NAME) or bare not in names or before in (".", "::") or behind == "(":
            continue
        now = names[bare]
        if now is None:
            return None
        if now != bare:
            parts += [text[place : token.start], quoted(now)]
            place = token.end
    return "".join([*parts, text[place:]])
