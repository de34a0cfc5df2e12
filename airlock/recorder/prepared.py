"""Statements that are prepared, with the values that an EXECUTE gives them."""

from __future__ import annotations

import re

from airlock.recorder.tokens import closing, tokens

PARAMETER = re.compile(r"\$([1-9]\d*)")


def executed(statement: str, prepared: str) -> str:
    """Put the values that an EXECUTE gives into what was prepared; "" where there are none."""
    some = tokens(statement)
    opening = next((at for at, token in enumerate(some) if token.text == "("), None)
    if opening is None:
        return ""
    values, start = list[str](), some[opening].end
    for one in some[opening + 1 : closing(some, opening) + 1]:
        if one.depth <= some[opening].depth or (one.depth == some[opening].depth + 1 and one.text == ","):
            values.append(statement[start : one.start].strip())
            start = one.end
    whole = tokens(prepared)
    begin = next((at for at, token in enumerate(whole) if token.word == "AS" and token.depth == 0), None)
    if begin is None:
        return ""
    parts, place = list[str](), whole[begin].end
    for one in whole[begin:]:
        found = PARAMETER.fullmatch(one.text)
        if found is not None and int(found[1]) <= len(values):
            parts += [prepared[place : one.start], f"({values[int(found[1]) - 1]})"]
            place = one.end
    return "".join([*parts, prepared[place:]]).strip()
