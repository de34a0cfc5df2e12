"""Statements in Alembic's own words: the operation that says the same as a statement, where there is one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.operations.revision.written.calls import Call, call, listing, python
from airlock.operations.revision.written.clauses import (
    NAME,
    QUALIFIED,
    bound,
    inside,
    names_in,
    plain,
    split,
    within,
)
from airlock.operations.revision.written.column_calls import column_call
from airlock.operations.revision.written.sqltypes import sqlalchemy_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from airlock.operations.revision.model_types import Words

_ACTIONS = re.compile(
    r"(?P<columns>\([^()]*\))(?: MATCH (?P<match>\w+))?(?: ON UPDATE (?P<update>RESTRICT|CASCADE|SET NULL|SET DEFAULT))?"
    r"(?: ON DELETE (?P<delete>RESTRICT|CASCADE|(?:SET NULL|SET DEFAULT)(?: \([^()]*\))?))?"
    r"(?P<deferrable> DEFERRABLE)?(?P<deferred> INITIALLY DEFERRED)?(?P<later> NOT VALID)?"
)


def spoken(text: str, words: Words) -> list[Call] | None:
    """Say a statement as Alembic operations; None where only SQL says it. Pure."""
    for pattern, say in _FORMS:
        found = pattern.fullmatch(text)
        if found is not None:
            said = say(found, words)
            if said is not None:
                return said
    return None


def _table(found: re.Match[str], group: str = "table") -> tuple[str, str | None]:
    names = names_in(found[group])
    return python(names[-1]), python(names[0]) if len(names) > 1 else None


def _final(name: str) -> str:
    # The name as it is: a naming convention of the models' metadata would make another one of it.
    return f"op.f({python(plain(name))})"


def _true(text: str | None) -> str | None:
    return "True" if text else None


def _create_table(found: re.Match[str], words: Words) -> list[Call] | None:
    table, schema = _table(found)
    members: list[str | Call] = [table]
    later: list[Call] = []
    lines = [line.strip() for line in split(found["body"], ",\n")]
    keys = [name for line in lines for name in _primary(line)]
    for line in lines:
        if line.startswith("CONSTRAINT "):
            said = _constraint(line)
            if said is None:
                inner = f"ALTER TABLE {found['table']} ADD {line}"
                later.append(call("op.execute", python(bound(inner))))
            else:
                members.append(said)
        else:
            column = column_call(line, words, keys=keys, table=found["table"])
            if column is None:
                return None
            members.append(column)
    options = _options(found["options"])
    prefixes = listing(['"UNLOGGED"']) if found["unlogged"] else None
    partition = python(found["partition"]) if found["partition"] else None
    made = call(
        "op.create_table", *members, schema=schema, prefixes=prefixes, postgresql_inherits=_names(found["parents"]),
        postgresql_partition_by=partition, postgresql_with=options,
        postgresql_tablespace=python(plain(found["space"])) if found["space"] else None,
    )  # fmt: skip
    return [made, *later]


def _primary(line: str) -> list[str]:
    found = re.match(rf"CONSTRAINT {NAME} PRIMARY KEY (\([^()]*\))", line)
    return [plain(one) for one in split(inside(found[1]), ",")] if found else []


def _names(text: str | None) -> Call | str | None:
    if not text:
        return None
    names = [python(plain(one)) for one in split(text, ",")]
    return names[0] if len(names) == 1 else listing([*names])


def _options(text: str | None) -> str | None:
    if not text:
        return None
    pairs = [one.partition("=")[::2] for one in split(text, ",")]
    return "{" + ", ".join(f"{python(key.strip())}: {python(value.strip())}" for key, value in pairs) + "}"


_CONSTRAINT = re.compile(
    rf"CONSTRAINT (?P<name>{NAME}) (?P<kind>PRIMARY KEY|UNIQUE)(?P<nulls> NULLS NOT DISTINCT)? (?P<columns>\([^()]*\))"
    r"(?: INCLUDE (?P<include>\([^()]*\)))?(?P<deferrable> DEFERRABLE)?(?P<deferred> INITIALLY DEFERRED)?"
)
_CHECK = re.compile(rf"CONSTRAINT (?P<name>{NAME}) CHECK (?P<condition>\(.*\))", re.DOTALL)


def _constraint(line: str) -> Call | None:
    check = _CHECK.fullmatch(line)
    if check and within(check["condition"]) is not None:
        return call(
            "sa.CheckConstraint", python(bound(inside(check["condition"]))), name=_final(check["name"])
        )
    found = _CONSTRAINT.fullmatch(line)
    if found is None or "WITHOUT OVERLAPS" in line:
        return None
    columns = [python(plain(one)) for one in split(inside(found["columns"]), ",")]
    include = (
        [python(plain(one)) for one in split(inside(found["include"]), ",")] if found["include"] else None
    )
    kind = "sa.PrimaryKeyConstraint" if found["kind"] == "PRIMARY KEY" else "sa.UniqueConstraint"
    return call(
        kind, *columns, name=_final(found["name"]), deferrable=_true(found["deferrable"]),
        initially='"DEFERRED"' if found["deferred"] else None, postgresql_nulls_not_distinct=_true(found["nulls"]),
        postgresql_include=listing([*include]) if include else None,
    )  # fmt: skip


def _foreign_key(found: re.Match[str], _: object) -> list[Call] | None:
    actions = _ACTIONS.fullmatch(found["rest"])
    if actions is None or re.search(r"[(,] ?PERIOD ", found["columns"]):
        return None
    (table, schema), (other, other_schema) = _table(found), _table(found, "other")
    columns, referred = (
        listing([python(plain(one)) for one in split(inside(part), ",")])
        for part in (found["columns"], actions["columns"])
    )
    return [
        call(
            "op.create_foreign_key", _final(found["name"]), table, other, columns, referred,
            source_schema=schema, referent_schema=other_schema, onupdate=_quoted(actions["update"]),
            ondelete=_quoted(actions["delete"]), match=_quoted(actions["match"]), deferrable=_true(actions["deferrable"]),
            initially='"DEFERRED"' if actions["deferred"] else None, postgresql_not_valid=_true(actions["later"]),
        )
    ]  # fmt: skip


def _quoted(text: str | None) -> str | None:
    return python(text) if text else None


def _check(found: re.Match[str], _: object) -> list[Call] | None:
    condition = found["condition"]
    later = condition.endswith(" NOT VALID")
    inner = within(condition.removesuffix(" NOT VALID"))
    if inner is None:
        return None
    table, schema = _table(found)
    return [
        call(
            "op.create_check_constraint", _final(found["name"]), table, python(bound(inner)), schema=schema,
            postgresql_not_valid=_true("yes" if later else None),
        )
    ]  # fmt: skip


def _index(found: re.Match[str], _: object) -> list[Call] | None:
    table, schema = _table(found)
    rest = found["rest"]
    columns, _, rest = _parenthesized(rest)
    if columns is None:
        return None
    items: list[str | Call] = []
    for one in split(columns, ","):
        name = one.strip()
        items.append(
            python(plain(name)) if re.fullmatch(NAME, name) else call("sa.text", python(bound(name)))
        )
    named: dict[str, str | Call | None] = {"unique": _true(found["unique"]), "schema": schema}
    if found["method"] not in {None, "btree"}:
        named["postgresql_using"] = python(found["method"])
    include = re.match(r" INCLUDE (?=\()", rest)
    if include:
        inner, _, rest = _parenthesized(rest[include.end() :])
        named["postgresql_include"] = listing([python(plain(one)) for one in split(inner or "", ",")])
    if rest.startswith(" NULLS NOT DISTINCT"):
        named["postgresql_nulls_not_distinct"], rest = "True", rest.removeprefix(" NULLS NOT DISTINCT")
    options = re.match(r" WITH (?=\()", rest)
    if options:
        inner, _, rest = _parenthesized(rest[options.end() :])
        named["postgresql_with"] = _options((inner or "").replace("'", ""))
    space = re.match(rf" TABLESPACE ({NAME})", rest)
    if space:
        named["postgresql_tablespace"], rest = python(plain(space[1])), rest[space.end() :]
    if rest.startswith(" WHERE "):
        named["postgresql_where"], rest = call("sa.text", python(bound(rest.removeprefix(" WHERE ")))), ""
    if rest:
        return None
    named["postgresql_concurrently"] = _true(found["concurrently"])
    return [call("op.create_index", _final(found["name"]), table, listing(items), **named)]


def _parenthesized(text: str) -> tuple[str | None, str, str]:
    """Split a text that begins with a parenthesis behind where that closes."""
    for place in range(1, len(text) + 1):
        if text[place - 1] == ")" and within(text[:place]) is not None:
            return within(text[:place]), text[:place], text[place:]
    return None, "", text


def _drop_index(found: re.Match[str], _: object) -> list[Call] | None:
    name, schema = _table(found, "name")
    concurrently = _true(found["concurrently"])
    return [
        call(
            "op.drop_index",
            f"op.f({name})",
            schema=schema,
            if_exists=_true(found["there"]),
            postgresql_concurrently=concurrently,
        )
    ]


def _add_column(found: re.Match[str], words: Words) -> list[Call] | None:
    table, schema = _table(found)
    column = column_call(found["column"], words, keys=[], table=found["table"])
    return [call("op.add_column", table, column, schema=schema)] if column is not None else None


def _drop_columns(found: re.Match[str], _: object) -> list[Call] | None:
    table, schema = _table(found)
    names = [one.strip().removeprefix("DROP COLUMN ") for one in split(found["columns"], ",")]
    return [call("op.drop_column", table, python(plain(one)), schema=schema) for one in names]


def _alter(found: re.Match[str], words: Words) -> list[Call] | None:
    table, schema = _table(found)
    what = found["what"]
    named: dict[str, str | Call | None] = {}
    if what in {"SET NOT NULL", "DROP NOT NULL"}:
        named["nullable"] = "False" if what == "SET NOT NULL" else "True"
    elif what == "DROP DEFAULT":
        named["server_default"] = "None"
    elif what.startswith("SET DEFAULT "):
        named["server_default"] = call("sa.text", python(bound(what.removeprefix("SET DEFAULT "))))
    elif what.startswith("TYPE "):
        kind = what.removeprefix("TYPE ")
        own = words.type_of(found["table"], plain(found["column"]), kind)
        named["type_"] = own or sqlalchemy_type(kind, words.enums)
    if not named or None in named.values():
        return None
    return [call("op.alter_column", table, python(plain(found["column"])), **named, schema=schema)]


def _comment(found: re.Match[str], _: object) -> list[Call] | None:
    text = None if found["text"] == "NULL" else python(found["text"][1:-1].replace("''", "'"))
    names = names_in(found["name"])
    if found["what"] == "TABLE":
        schema = python(names[0]) if len(names) > 1 else None
        if text is None:
            return [call("op.drop_table_comment", python(names[-1]), schema=schema)]
        return [call("op.create_table_comment", python(names[-1]), text, schema=schema)]
    schema = python(names[0]) if len(names) > 2 else None
    return [
        call("op.alter_column", python(names[-2]), python(names[-1]), comment=text or "None", schema=schema)
    ]


def _drop_table(found: re.Match[str], _: object) -> list[Call] | None:
    table, schema = _table(found)
    return [call("op.drop_table", table, schema=schema)]


def _drop_constraint(found: re.Match[str], _: object) -> list[Call] | None:
    table, schema = _table(found)
    return [call("op.drop_constraint", _final(found["name"]), table, schema=schema)]


def _rename_table(found: re.Match[str], _: object) -> list[Call] | None:
    table, schema = _table(found)
    return [call("op.rename_table", table, python(plain(found["new"])), schema=schema)]


def _rename_column(found: re.Match[str], _: object) -> list[Call] | None:
    table, schema = _table(found)
    old, new = (python(plain(found[one])) for one in ("old", "new"))
    return [call("op.alter_column", table, old, new_column_name=new, schema=schema)]


_ON = rf"(?P<table>{QUALIFIED})"
_FORMS: list[tuple[re.Pattern[str], Callable[..., list[Call] | None]]] = [
    (re.compile(pattern, re.DOTALL), say)
    for say, pattern in {
        _create_table: rf"CREATE (?P<unlogged>UNLOGGED )?TABLE {_ON} \(\n(?P<body>.*)\n\)"
        rf"(?: INHERITS \((?P<parents>{NAME}(?:, {NAME})*)\))?"
        r"(?: PARTITION BY (?P<partition>.*?))?(?: WITH \((?P<options>[^()]*)\))?"
        rf"(?: TABLESPACE (?P<space>{NAME}))?",
        _foreign_key: rf"ALTER TABLE {_ON} ADD CONSTRAINT (?P<name>{NAME}) FOREIGN KEY (?P<columns>\([^()]*\))"
        rf" REFERENCES (?P<other>{QUALIFIED})(?P<rest>\(.*)",
        _check: rf"ALTER TABLE {_ON} ADD CONSTRAINT (?P<name>{NAME}) CHECK (?P<condition>\(.*)",
        _drop_constraint: rf"ALTER TABLE {_ON} DROP CONSTRAINT (?P<name>{NAME})",
        _index: rf"CREATE (?P<unique>UNIQUE )?INDEX (?P<concurrently>CONCURRENTLY )?(?P<name>{NAME}) ON {_ON}"
        r"(?: USING (?P<method>\w+))? (?P<rest>\(.*)",
        _drop_index: rf"DROP INDEX (?P<concurrently>CONCURRENTLY )?(?P<there>IF EXISTS )?(?P<name>{QUALIFIED})",
        _add_column: rf"ALTER TABLE {_ON} ADD COLUMN (?P<column>(?!IF ).*)",
        _drop_columns: rf"ALTER TABLE {_ON} (?P<columns>DROP COLUMN {NAME}(?:, DROP COLUMN {NAME})*)",
        _alter: rf"ALTER TABLE {_ON} ALTER COLUMN (?P<column>{NAME}) (?P<what>[A-Z].*)",
        _rename_table: rf"ALTER TABLE {_ON} RENAME TO (?P<new>{NAME})",
        _rename_column: rf"ALTER TABLE {_ON} RENAME COLUMN (?P<old>{NAME}) TO (?P<new>{NAME})",
        _comment: rf"COMMENT ON (?P<what>TABLE|COLUMN) (?P<name>{NAME}(?:\.{NAME}){{0,2}}) IS (?P<text>NULL|'.*')",
        _drop_table: rf"DROP TABLE {_ON}",
    }.items()
]
