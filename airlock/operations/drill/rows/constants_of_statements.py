"""How surely a row may hold what a revision's statements name: what it looks for, what it writes, what it computes with.

What the upgrade looks for was there before, or may have been. A value that only it writes need not have been: a downgrade
that cannot tell such a row from its own is no fault known, and not proved either. What it inserts as rows of its own, and
what stands in the arguments of a function, is believed not to have been there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.operations.drill.rows.constants_read import constants
from airlock.recorder import row_changes as reading
from airlock.recorder.branches import ANOTHER_VALUE
from airlock.recorder.tokens import NUMBER, STRING, WORD, tokens, value
from airlock.samples.constants import Constants

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airlock.recorder.row_changes import DataStatement

CERTAIN, WRITTEN, COMPUTED, INSERTED = "certain", "written", "computed", "inserted"
# Several of their separators, or none, are ordinary.
_SPLITTING = frozenset({
    "split_part", "string_to_array", "regexp_split_to_array", "strpos", "position", "substring", "substr", "left", "right",
})  # fmt: skip
_TURNING = frozenset({"nullif", "replace", "regexp_replace", "translate", "overlay"})
_TAKING_OUT = frozenset({*_TURNING, "trim", "btrim", "ltrim", "rtrim"})


@dataclass(frozen=True, slots=True)
class Named:
    """The constants of a revision's two ways, by how surely a row may hold them."""

    looked_for: frozenset[str]
    inserted: frozenset[str]
    written: frozenset[str]
    looked_for_below: frozenset[str]
    # What the downgrade gives to functions, which may turn it into something else: NULLIF(a, 'none').
    turned_back: frozenset[str] = frozenset()
    # The upgrade's statements, and the columns that they give values to.
    sent: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()

    def strength(self, constant: str) -> str:
        """Tell how surely a row may have held a constant before the upgrade."""
        if constant in self.looked_for:
            return CERTAIN
        if constant in self.inserted:
            return INSERTED
        by_upgrade = constant in self.written or any(
            len(one) > 1 and (one in constant or constant in one) for one in self.written if len(constant) > 1
        )
        if constant in self.looked_for_below:
            return WRITTEN if by_upgrade else CERTAIN
        if constant in self.written and (constant in self.turned_back or constant.startswith("{")):
            return WRITTEN
        return COMPUTED

    def holding(self, data: DataStatement, column: str) -> str:
        """Tell how surely a row may have held what a statement's condition compares a column with, computed of the same row."""
        return WRITTEN if column in self.given and data.text not in self.sent else CERTAIN


def named(up: Iterable[DataStatement], down: Iterable[DataStatement]) -> Named:
    """Sort the constants of what was sent on the way up and down."""
    up, down = tuple(up), tuple(down)
    plain = [one for one in up if inserts_its_own(one)]
    # What an upgrade takes out of values that nothing brings back, it is written for.
    back = {name for one in down for name, _ in one.given}
    told = all(one.kind in (reading.UPDATE, reading.DELETE, reading.READ) and not one.around for one in down)
    for_good = [
        one for one in up if told and one.given and not back.intersection(name for name, _ in one.given)
    ]
    taken_out = (it for one in for_good for it in _arguments(one.text, _TAKING_OUT))
    return Named(
        frozenset(_of((*(_looked_for(one) for one in up), *taken_out))),
        frozenset(_of(one.text for one in plain)),
        frozenset(_of(one.text for one in up)),
        frozenset(_of(_looked_for(one) for one in down)),
        frozenset(_of(it for one in down for it in _arguments(one.text, _TURNING))),
        frozenset(one.text for one in up),
        frozenset(name for one in up for name, _ in one.given),
    )


def all_certain(data_statements: Iterable[DataStatement]) -> Named:
    """Take every constant for one that a row may hold: of rows written above the upgrade."""
    none: frozenset[str] = frozenset()
    return Named(frozenset(_of(one.around or one.text for one in data_statements)), none, none, none)


def of_strength(named: Constants, sure: Named, strength: str, more: Constants) -> Constants:
    """Choose the constants that are so sure; beside what an upgrade writes those that are certain, to be put together."""
    certain = {*more.strings, *more.numbers} if strength == CERTAIN else set()
    if strength == WRITTEN:
        certain = {
            one for one in (*named.strings, *named.numbers) if sure.strength(one.lstrip("-")) == CERTAIN
        }
        if len(certain) == len({*named.strings, *named.numbers}):
            return Constants()
    return Constants(
        tuple(one for one in named.strings if one in certain or sure.strength(one) == strength),
        tuple(one for one in named.numbers if one in certain or sure.strength(one.lstrip("-")) == strength),
        named.paths,
        named.words,
        named.counted,
        under_keys=named.under_keys,
    )


def inserts_its_own(data: DataStatement) -> bool:
    """Tell whether a statement inserts rows that it spells itself, and takes no row that is there for one of them."""
    return data.kind == reading.INSERT and data.scope is None and "CONFLICT" not in data.text.upper()


def _looked_for(data: DataStatement) -> str:
    """Give the text of a data statement's conditions; all of it where they cannot be told from the rest."""
    if data.around or data.kind in (reading.READ, reading.MERGE):
        return data.around or data.text
    if data.kind == reading.INSERT and data.scope is None and not data.chooses:
        return data.text if "CONFLICT" in data.text.upper() else ""
    if data.scope is None and data.chooses:
        return data.text
    parts = [one.condition for one in data.branches if one.label != ANOTHER_VALUE]
    if data.scope is not None:
        parts += [data.scope.prefix, data.scope.condition, data.scope.source]
    return " ".join([*parts, *_arguments(data.text, _SPLITTING)])


def _arguments(text: str, functions: frozenset[str]) -> Iterator[str]:
    some = tokens(text)
    for at, token in enumerate(some):
        if (
            token.kind == WORD
            and token.text.lower() in functions
            and at + 1 < len(some)
            and some[at + 1].text == "("
        ):
            depth = some[at + 1].depth
            for inner in some[at + 2 :]:
                if inner.depth <= depth:
                    break
                if inner.kind in (STRING, NUMBER):
                    yield inner.text


def _of(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from (value(token) for token in tokens(text) if token.kind == STRING)
        found = constants(text)
        yield from (*found.strings, *(one.lstrip("-") for one in found.numbers))
