"""PL/pgSQL read as a tree of statement lists: where branches, loops and handlers begin, and which statements stand in them.

Reads text, asks no server. A body that cannot be read to its end raises Unreadable: nothing is guessed of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.recorder.tokens import span, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airlock.recorder.tokens import Token

BLOCK, ARM, OTHERWISE, LOOP, HANDLER = "block", "arm", "otherwise", "loop", "handler"


class Unreadable(ValueError):
    """A body that is not written as PL/pgSQL is known to be."""


@dataclass(slots=True)
class Simple:
    """One statement up to its semicolon; `end` is behind that."""

    some: Sequence[Token]
    end: int

    @property
    def word(self) -> str:
        """Give its first word."""
        return self.some[0].word if self.some else ""


@dataclass(slots=True)
class Body:
    """One list of statements: how one gets into it, the condition as written, and where its first statement begins.

    `before` are the arms that were tried first; `declared` are a block's declarations; `guarded` is a handler's block.
    """

    kind: str
    label: str
    condition: str
    start: int
    before: tuple[str, ...] = ()
    simple: list[Simple] = field(default_factory=list)
    inner: list[Body] = field(default_factory=list)
    declared: Sequence[Sequence[Token]] = ()
    guarded: Body | None = None


def read(body: str) -> Body:
    """Read a whole function body. Raises Unreadable."""
    return _Reader(body).whole()


@dataclass(slots=True)
class _Reader:
    """Reads statements one after the other."""

    sql: str
    place: int = 0
    some: Sequence[Token] = ()

    def whole(self) -> Body:
        self.some = tokens(self.sql)
        top = Body(BLOCK, "", "", 0)
        self._statements(top, ())
        if self.place < len(self.some) or len(top.inner) != 1 or top.simple:
            raise Unreadable(self.sql[:80])
        return top.inner[0]

    def _word(self, ahead: int = 0) -> str:
        at = self.place + ahead
        return self.some[at].word if at < len(self.some) else ""

    def _text(self) -> str:
        if self.place >= len(self.some):
            raise Unreadable("the end came too soon")
        return self.some[self.place].text

    def _statements(self, into: Body, ends: tuple[str, ...]) -> None:
        """Read statements until one of the words stands where a statement would begin."""
        while self.place < len(self.some) and self._word() not in ends:
            self._statement(into)

    def _statement(self, into: Body) -> None:
        while self._text() == "<<":
            self._until(">>")
        word = self._word()
        if self._text() == "#":
            # An option of the compiler: `#variable_conflict use_column`, to the end of its line.
            line_end = self.sql.find("\n", self.some[self.place].start)
            while self.place < len(self.some) and (line_end < 0 or self.some[self.place].start < line_end):
                self.place += 1
        elif word == "DECLARE":
            self._block(into, self._declarations())
        elif word == "BEGIN":
            self._block(into)
        elif word == "IF":
            self._if(into)
        elif word == "CASE":
            self._case(into)
        elif word in {"LOOP", "WHILE", "FOR", "FOREACH"}:
            self._loop(into)
        else:
            self._simple(into)

    def _simple(self, into: Body) -> None:
        first = self.place
        while self._text() != ";":
            self.place += 1
        self.place += 1
        into.simple.append(Simple(self.some[first : self.place - 1], self.some[self.place - 1].end))

    def _until(self, mark: str) -> None:
        while self._text() != mark:
            self.place += 1
        self.place += 1

    def _declarations(self) -> list[Sequence[Token]]:
        self.place += 1
        found = []
        while self._word() != "BEGIN":
            first = self.place
            self._until(";")
            found.append(self.some[first : self.place - 1])
        return found

    def _start(self) -> int:
        return self.some[self.place - 1].end

    def _block(self, into: Body, declared: Sequence[Sequence[Token]] = ()) -> None:
        self.place += 1
        block = Body(BLOCK, "", "", self._start(), declared=declared)
        into.inner.append(block)
        self._statements(block, ("EXCEPTION", "END"))
        if self._word() == "EXCEPTION":
            self.place += 1
            while self._word() == "WHEN":
                condition = self._condition("THEN")
                handler = Body(
                    HANDLER, f"EXCEPTION WHEN {condition}", condition, self._start(), guarded=block
                )
                block.inner.append(handler)
                self._statements(handler, ("WHEN", "END"))
        self._end("")

    def _end(self, word: str) -> None:
        """Pass END, the word that goes with it, a label and the semicolon, which the last END need not have."""
        if self._word() != "END":
            raise Unreadable("an END is missing")
        self.place += 1
        if word and self._word() != word:
            raise Unreadable(f"END {word} is missing")
        while self.place < len(self.some):
            self.place += 1
            if self.some[self.place - 1].text == ";":
                return

    def _condition(self, closing: str) -> str:
        """Read from behind the present word to another one that is not inside a CASE expression."""
        self.place += 1
        first, cases = self.place, 0
        while cases or self._word() != closing:
            self._text()
            cases += {"CASE": 1, "END": -1}.get(self._word(), 0)
            self.place += 1
        self.place += 1
        return span(self.sql, self.some[first : self.place - 1])

    def _if(self, into: Body) -> None:
        earlier: tuple[str, ...] = ()
        ends = ("ELSIF", "ELSEIF", "ELSE", "END")
        while self._word() in {"IF", "ELSIF", "ELSEIF"}:
            word = self._word()
            condition = self._condition("THEN")
            self._arm(into, Body(ARM, f"{word} {condition}", condition, self._start(), earlier), ends)
            earlier = (*earlier, condition)
        self._otherwise(into, f"ELSE of IF {earlier[0]}", earlier)
        self._end("IF")

    def _case(self, into: Body) -> None:
        subject = ""
        if self._word(1) != "WHEN":
            self.place += 1
            first, cases = self.place, 0
            while cases or self._word() != "WHEN":
                self._text()
                cases += {"CASE": 1, "END": -1}.get(self._word(), 0)
                self.place += 1
            subject = span(self.sql, self.some[first : self.place])
        else:
            self.place += 1
        earlier: tuple[str, ...] = ()
        while self._word() == "WHEN":
            said = self._condition("THEN")
            condition = f"({subject}) IN ({said})" if subject else said
            label = f"CASE {subject} WHEN {said}" if subject else f"CASE WHEN {said}"
            self._arm(into, Body(ARM, label, condition, self._start(), earlier), ("WHEN", "ELSE", "END"))
            earlier = (*earlier, condition)
        self._otherwise(into, f"ELSE of CASE {subject or earlier[0]}" if earlier else "ELSE of CASE", earlier)
        self._end("CASE")

    def _otherwise(self, into: Body, label: str, earlier: tuple[str, ...]) -> None:
        if self._word() == "ELSE":
            self.place += 1
            self._arm(into, Body(OTHERWISE, label, "", self._start(), earlier), ("END",))

    def _arm(self, into: Body, arm: Body, ends: tuple[str, ...]) -> None:
        into.inner.append(arm)
        self._statements(arm, ends)

    def _loop(self, into: Body) -> None:
        first = self.place
        if self._word() == "LOOP":
            self.place += 1
            body = Body(BLOCK, "", "", self._start())
        else:
            word = self._word()
            head = self._condition("LOOP")
            # A WHILE has a condition as IF has one; what a FOR goes through is asked by itself.
            body = Body(LOOP, f"{word} {head}", head, self.some[self.place - 1].end)
        into.inner.append(body)
        self._statements(body, ("END",))
        if self.place <= first:
            raise Unreadable("a loop")
        self._end("LOOP")
