"""PL/pgSQL bodies with probes in them: at their entry, in each list of statements, behind each write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.recorder import arms, plpgsql, windows
from airlock.recorder.probes import (
    DATA,
    ENTRY,
    OF_THE_CALL,
    ROWS,
    WAY,
    Probe,
    Probed,
    arm_counted,
    edited,
    hit,
    in_cases,
    joined,
)
from airlock.recorder.tokens import NAME, STRING, WORD, span, tokens, value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airlock.recorder.tokens import Token

# What is done without any effect on rows, unless it raises.
_IDLE = frozenset({"NULL", "RAISE", "EXIT", "CONTINUE", "ASSERT", "CLOSE"})
_CATALOGUE = re.compile(
    r"\b(pg_\w+|information_schema|to_reg\w+|current_setting|has_\w+_privilege|current_user|session_user|version"
    r"|current_schemas?|current_database|txid_\w+)\b|::\s*reg\w+",
    re.IGNORECASE,
)
_OF_ROWS = re.compile(r"\b(NEW|OLD)\b|\bEXISTS\b|\bFOUND\b|\bSELECT\b", re.IGNORECASE)
# Handlers of what becomes of definitions, not of rows.
_DEFINITIONS = re.compile(
    r"\b(duplicate_(object|table|column|function|schema|alias)|undefined_\w+|insufficient_privilege"
    r"|dependent_objects_still_exist|feature_not_supported|wrong_object_type|invalid_schema_name)\b"
)
# What no row can refuse: alembic_utils replaces a view so, and drops it first where that is refused.
_DEFINES = re.compile(
    r"(CREATE (OR REPLACE )?((TEMP|TEMPORARY|RECURSIVE|CONSTRAINT) )?"
    r"(VIEW|FUNCTION|PROCEDURE|TRIGGER|TYPE|SEQUENCE|SCHEMA|POLICY)"
    r"|DROP|COMMENT|GRANT|REVOKE)\b"
)
_OF_CONDITIONS = frozenset({"and", "or", "not", "is", "null", "true", "false", "in", "like", "any", "array"})
_ROW_COUNT = "airlock_row_count"


def in_plpgsql(
    body: str, prefix: str, *, trigger: bool, given: Collection[str] = (), expressions: bool = True
) -> Probed:
    """Put probes into a PL/pgSQL body; `given` are names whose values no row decides. Raises plpgsql.Unreadable.

    With `expressions`, also into the CASE expressions in it.
    """
    return _Plpgsql(body, prefix, trigger, {one.lower() for one in given}, expressions).probed()


@dataclass(slots=True)
class _Plpgsql:
    """One body on its way to be probed."""

    sql: str
    prefix: str
    trigger: bool
    given: set[str]
    expressions: bool
    probes: list[Probe] = field(default_factory=list)
    edits: list[tuple[int, int, str]] = field(default_factory=list)
    tokens: Sequence[Token] = ()
    # Variables that hold one number.
    numbers: dict[str, int] = field(default_factory=dict)

    def probed(self) -> Probed:
        whole = plpgsql.read(self.sql)
        self.tokens = tokens(self.sql)
        self._learn_given(whole)
        self.numbers = windows.numbers_of(whole)
        entry = f"{self.prefix}_in"
        self.probes.append(Probe(entry, ENTRY, "", 1))
        self._insert(whole.start, self._spelled(entry))
        if self.trigger:
            for name in ("TG_OP", "TG_NAME"):
                setting = f"{self.prefix}_{name.lower()}"
                self._insert(
                    whole.start,
                    f" IF pg_catalog.set_config('{setting}', coalesce(pg_catalog.current_setting('{setting}', true), '') || "
                    f"' ' || {name}, false) IS NULL THEN END IF;",
                )
        self._list(whole, entry, (), known=True)
        body = edited(self.sql, self.edits)
        options = re.match(r"(\s*#[^\n]*\n)*", body)
        cut = options.end() if options is not None else 0
        # The body becomes a block inside one that has a variable for counts.
        inner = body[cut:].rstrip()
        inner += "" if inner.endswith(";") else ";"
        return Probed(
            f"{body[:cut]} DECLARE {_ROW_COUNT} pg_catalog.int8; BEGIN {inner}\nEND",
            self.probes,
        )

    def _insert(self, at: int, text: str) -> None:
        self.edits.append((at, at, text))

    def _spelled(self, setting: str, more: str = "1") -> str:
        return f" IF {hit(setting, more)} IS NULL THEN END IF;"

    def _line(self, at: int) -> int:
        # The first line of a body is the rest of the line on which it is opened.
        return self.sql.count("\n", 0, at) + 1

    def _list(self, body: plpgsql.Body, within: str, under: tuple[str, ...], *, known: bool) -> None:
        for number, one in enumerate(body.simple):
            self._simple(one, within, number)
        if self.expressions:
            self._expressions(body, within, under if known else None)
        for inner in body.inner:
            self._inner(inner, within, under, known=known)

    def _inner(self, body: plpgsql.Body, within: str, under: tuple[str, ...], *, known: bool) -> None:
        if body.kind == plpgsql.BLOCK:
            self._list(body, within, under, known=known)
            return
        if self.expressions and self._is_needed(body):
            earlier = (*under, *(f"({one}) IS NOT TRUE" for one in body.before))
            self._of_head(body, within, earlier if known and body.kind == plpgsql.ARM else None)
        setting = f"{self.prefix}_{len(self.probes)}"
        condition = self._condition(body, under) if known else ""
        here = (
            *under,
            *(f"({one}) IS NOT TRUE" for one in body.before),
            *([f"({body.condition})"] if body.kind == plpgsql.ARM else []),
        )
        self.probes.append(
            Probe(
                setting, WAY, body.label, self._line(body.start), self._is_needed(body), within, condition,
                _operations(body),
            )
        )  # fmt: skip
        self._insert(body.start, self._spelled(setting))
        if body.kind == plpgsql.LOOP and windows.leaves_rows(body, self.numbers):
            # Nothing leads there: what becomes of such rows is not seen.
            beyond = Probe(
                f"{setting}_b", WAY, f"rows beyond {body.label}", self._line(body.start), within=within
            )
            self.probes.append(beyond)
        deeper = known and body.kind in {plpgsql.ARM, plpgsql.OTHERWISE}
        self._list(body, setting, here if deeper else (), known=deeper)

    def _condition(self, body: plpgsql.Body, under: tuple[str, ...]) -> str:
        if body.kind not in {plpgsql.ARM, plpgsql.OTHERWISE}:
            return ""
        each = [*under, *(f"({one}) IS NOT TRUE" for one in body.before)]
        if body.condition:
            each.append(f"({body.condition})")
        return " AND ".join(one for one in each if not OF_THE_CALL.search(one))

    def _simple(self, one: plpgsql.Simple, within: str, number: int) -> None:
        write = _write_in(one.some)
        if not write:
            return
        setting = f"{self.prefix}_{len(self.probes)}_{number}"
        text = span(self.sql, one.some)
        self.probes.append(Probe(setting, ROWS, text, self._line(one.some[0].start), within=within))
        self._insert(
            one.end,
            f" GET DIAGNOSTICS {_ROW_COUNT} = ROW_COUNT;{self._spelled(setting, f'coalesce({_ROW_COUNT}, 0)')}",
        )

    def _expressions(self, body: plpgsql.Body, within: str, under: tuple[str, ...] | None) -> None:
        for one in body.simple:
            # What a CASE sends to a catalogue, or to a message, is not about rows.
            if one.word in _IDLE or self._is_given(span(self.sql, one.some)):
                continue
            prefix = f"{self.prefix}_{len(self.probes)}"
            line = self._line(one.some[0].start) if one.some else 1
            self.edits += in_cases(self.sql, one.some, prefix, line, self.probes, within, under)
            self._arms(arms.in_queries(one.some), prefix, within, None)

    def _arms(
        self, found: Iterator[Sequence[Token]], prefix: str, within: str, under: tuple[str, ...] | None
    ) -> None:
        for number, arm in enumerate(found):
            text = span(self.sql, arm)
            if self._is_given(text):
                continue
            setting = f"{prefix}_o{number}"
            line = self._line(arm[0].start)
            self.probes.append(
                Probe(setting, WAY, f"OR {text}", line, within=within, condition=joined(under, f"({text})"))
            )
            self.edits += arm_counted(arm, setting)

    def _of_head(self, body: plpgsql.Body, within: str, under: tuple[str, ...] | None) -> None:
        """Put probes into the arms of the condition that leads into a list, or of the query that it goes through."""
        end = self.sql.rfind(body.condition, 0, body.start) + len(body.condition) if body.condition else 0
        head = [one for one in self.tokens if end - len(body.condition) <= one.start < end]
        if not head or self._is_given(body.condition):
            return
        prefix = f"{self.prefix}_{len(self.probes)}"
        if body.kind == plpgsql.ARM or body.label.startswith("WHILE"):
            self._arms(arms.in_condition(head), f"{prefix}_c", within, under)
        self._arms(arms.in_queries(head), prefix, within, None)

    def _is_needed(self, body: plpgsql.Body) -> bool:
        """Tell whether rows must go this way: it has an effect, and it is rows that lead there."""
        if not _has_effect(body):
            return False
        if body.kind == plpgsql.HANDLER:
            return _DEFINITIONS.search(body.condition) is None and not _only_defines(body.guarded)
        if body.kind == plpgsql.OTHERWISE:
            return any(not self._is_given(one) for one in body.before)
        return not self._is_given(body.condition)

    def _is_given(self, condition: str) -> bool:
        """Tell whether something else than rows decides: the catalogue, the call, or constants."""
        words = {token.text.strip('"').lower() for token in tokens(condition) if token.kind in (WORD, NAME)}
        if re.search(r"\b(NEW|OLD)\b", condition, re.IGNORECASE):
            return False
        if _CATALOGUE.search(condition):
            return True
        # Before FOUND is looked for: a variable may be called so.
        if words & self.given and words - _OF_CONDITIONS <= self.given:
            return True
        return _OF_ROWS.search(condition) is None and OF_THE_CALL.search(condition) is not None

    def _learn_given(self, body: plpgsql.Body) -> None:
        """Add variables that are set from the catalogue, as they are declared or later, or go through it."""
        for some in body.declared:
            if some and _CATALOGUE.search(span(self.sql, some)):
                self.given.add(some[0].text.strip('"').lower())
        for one in body.simple:
            text = span(self.sql, one.some)
            if not _CATALOGUE.search(text):
                continue
            if len(one.some) > 1 and one.some[1].text in (":=", ":", "="):
                self.given.add(one.some[0].text.strip('"').lower())
            for at, token in enumerate(one.some[:-1]):
                if token.word == "INTO":
                    self.given |= {it.text.strip('"').lower() for it in _names(one.some[at + 1 :])}
        for inner in body.inner:
            if inner.kind == plpgsql.LOOP and _CATALOGUE.search(inner.condition):
                self.given.add(inner.condition.split()[0].strip('"').lower())
            self._learn_given(inner)


def _names(some: Sequence[Token]) -> Iterator[Token]:
    for token in some:
        if token.kind in (WORD, NAME) and token.word not in {"STRICT", "FROM"}:
            yield token
        elif token.text != "," and token.word != "STRICT":
            return
        if token.word == "FROM":
            return


def _only_defines(block: plpgsql.Body | None) -> bool:
    """Tell whether a block holds nothing but statements that fail, or do not, whatever rows there are."""
    if block is None or any(one.kind != plpgsql.HANDLER for one in block.inner):
        return False
    heads = [" ".join(token.text.upper() for token in one.some[:5]) for one in block.simple]
    return all(_DEFINES.match(head) for head in heads)


def _has_effect(body: plpgsql.Body) -> bool:
    return any(one.word not in _IDLE and one.word for one in body.simple) or any(
        _has_effect(one) for one in body.inner
    )


def _write_in(some: Sequence[Token]) -> str:
    """Tell what a statement writes: INSERT, UPDATE, DELETE or MERGE; of EXECUTE what its first literal says."""
    if not some:
        return ""
    words = [token.word for token in some]
    if words[0] in DATA:
        return words[0]
    if words[0] == "WITH":
        return next((word for word in words if word in DATA), "") if "SELECT" not in words[-1:] else ""
    if words[:2] == ["RETURN", "QUERY"]:
        return words[2] if len(words) > 2 and words[2] in DATA else ""
    if words[0] == "EXECUTE":
        said = next((value(token) for token in some if token.kind == STRING), "")
        first = said.split(None, 1)[0].upper() if said.split() else ""
        return first if first in DATA else ""
    return ""


def _operations(body: plpgsql.Body) -> frozenset[str]:
    """Name the operations of a trigger that a condition asks for."""
    text = body.condition or " ".join(body.before)
    if body.kind == plpgsql.OTHERWISE or "TG_OP" not in text.upper():
        return frozenset()
    return frozenset(
        word for word in ("INSERT", "UPDATE", "DELETE", "TRUNCATE") if f"'{word}'" in text.upper()
    )
