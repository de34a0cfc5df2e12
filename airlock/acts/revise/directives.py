"""From a plan to Alembic's directives: one MigrationScript a revision, chained, in plain `op.execute` lines."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import logging
import re
import textwrap
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.operations import ops
from alembic.util import CommandError, rev_id

from airlock.acts.revise.columns import FILL_IN
from airlock.acts.revise.parts import Part, Plan, Sql, Stage
from airlock.acts.revise.plan import plan, rename_statements
from airlock.acts.revise.shadow import sides

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import MigrationScript
    from alembic.runtime.migration import MigrationContext

log = logging.getLogger(__name__)
NO_RENAME = "none"
# A colon before a word would be taken for a bound value.
_BIND = re.compile(r"(?<![:\w\\]):(?=[\w$]+(?![:\w$]))|(?<=\\):(?=[\w$]*(?![:\w$]))")
_WIDTH = 110


class StatementsOp(ops.MigrateOperation):
    """Statements of one direction of one revision, as SQL that PostgreSQL itself spelt."""

    def __init__(self, what: str, statements: tuple[Sql, ...]) -> None:
        self.what = what
        self.statements = statements

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Count as a difference, so that `alembic check` fails."""
        return ("airlock", self.what, tuple(one.text for one in self.statements))


@renderers.dispatch_for(StatementsOp)
def _render(_context: AutogenContext, operation: StatementsOp) -> str:
    return "\n".join(_lines(operation.statements)) or "pass"


def process_revision_directives(
    context: MigrationContext, _revision: object, directives: list[MigrationScript]
) -> None:
    """Replace what autogenerate found by the zero-downtime form; for env.py's `context.configure`.

    `--rename` comes as `-x rename=old:new` (`-x rename=none`: nothing is renamed). Raises CommandError where a rename is
    likely and nothing was said about it. Reads and compares in a savepoint that is rolled back.
    """
    if not directives or context.opts.get("target_metadata") is None or _written(directives[0]):
        return
    asked = [
        value for key, _, value in (one.partition("=") for one in _x_arguments(context)) if key == "rename"
    ]
    try:
        made, _ = compare(context, tuple(asked))
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).splitlines()[0].strip()
        log.warning("Written as Alembic found it, not in the zero-downtime form: %s", reason)
        return
    if made.likely and not asked:
        raise CommandError(perhaps_renamed(made))
    for remark in made.remarks:
        log.warning("%s: %s", remark.object, remark.text)
    rewrite(context, directives, made)


def perhaps_renamed(made: Plan) -> str:
    """Ask, in one line, whether something was renamed."""
    pairs = "; ".join(f"{one.old} -> {one.new}" for one in made.likely)
    return f"Renamed, or dropped and added? {pairs}. Say --rename {made.likely[0].option} or --rename {NO_RENAME}."


def compare(context: MigrationContext, renames: tuple[str, ...] = ()) -> tuple[Plan, tuple[str, ...]]:
    """Plan what leads from the connected database to the models, and name the models' schemas.

    Leaves the database as it was. Raises CommandError for a rename of nothing that is there.
    """
    asked = tuple(one for one in renames if one != NO_RENAME)
    parts: tuple[Part, ...] = ()
    if asked:
        with sides(context) as both:
            try:
                parts = rename_statements(asked, iter(both.live.tables.values()))
            except ValueError as error:
                raise CommandError(f"{error}.") from error
    with sides(context, tuple(it.text for one in parts for it in one.up)) as both:
        made = plan(both)
        schemas = tuple(both.real.values())
    if asked or NO_RENAME in renames:
        made = dataclasses.replace(made, likely=())
    return dataclasses.replace(made, parts=parts + made.parts), schemas


def rewrite(context: MigrationContext, directives: list[MigrationScript], made: Plan) -> None:
    """Put one script per revision into `directives`; none where there is nothing to do."""
    first = directives[0]
    if not made.parts:
        first.upgrade_ops_list[-1].ops[:] = []
        first.downgrade_ops_list[-1].ops[:] = []
        if getattr(getattr(context.config, "cmd_opts", None), "autogenerate", False):
            log.info("The models and the history agree: there is nothing to write.")
            directives[:] = []
        return
    groups = list(_bundles(made.parts))
    tokens = first.upgrade_ops_list[-1].upgrade_token, first.downgrade_ops_list[-1].downgrade_token
    scripts: list[MigrationScript] = []
    head, identity = first.head, first.rev_id or rev_id()
    titles = _titles(first.message, groups)
    for number, group in enumerate(groups):
        script = ops.MigrationScript(
            rev_id=identity,
            upgrade_ops=ops.UpgradeOps([_up(group)], upgrade_token=tokens[0]),
            downgrade_ops=ops.DowngradeOps([_down(group)], downgrade_token=tokens[1]),
            message=Title(titles[number], _doc(first.message, group)),
            imports=set(_names(group)),
            head=head,
            splice=first.splice if number == 0 else None,
            branch_label=first.branch_label if number == 0 else None,
            version_path=first.version_path,
            depends_on=first.depends_on if number == 0 else None,
        )
        scripts.append(script)
        head, identity = identity, rev_id()
    directives[:] = scripts
    _date_in_order(context)


class Title(str):
    """A title that files are named after; written into a revision, its docstring follows it."""

    doc: str
    __slots__ = ("doc",)

    def __new__(cls, title: str, doc: str) -> Self:
        """Keep the docstring beside the title."""
        made = super().__new__(cls, title)
        made.doc = doc
        return made

    def __str__(self) -> str:
        """Give the whole docstring."""
        return f"{str.__str__(self)}\n\n{self.doc}"


def _bundles(parts: Iterable[Part]) -> Iterator[tuple[Part, ...]]:
    """Gather the parts that may share a revision, in the order of their stages."""
    ordered = sorted(
        enumerate(parts), key=lambda pair: (pair[1].stage, pair[1].own, pair[1].leaves_transaction, pair[0])
    )

    def together(pair: tuple[int, Part]) -> tuple[Any, ...]:
        place, part = pair
        return part.stage, part.leaves_transaction, place if part.own else -1

    for _, group in itertools.groupby(ordered, key=together):
        yield tuple(part for _, part in group)


def _up(group: tuple[Part, ...]) -> StatementsOp:
    statements = [one for part in group for one in part.up] + [one for part in group for one in part.last]
    return StatementsOp("; ".join(part.what for part in group), tuple(statements))


def _down(group: tuple[Part, ...]) -> StatementsOp:
    statements = [one for part in reversed(group) for one in part.down]
    return StatementsOp("; ".join(part.what for part in group), tuple(statements))


def _titles(message: str | None, groups: list[tuple[Part, ...]]) -> list[str]:
    if message and len(groups) == 1:
        return [message.rstrip(".")]
    return [_title(message, group) for group in groups]


def _title(message: str | None, group: tuple[Part, ...]) -> str:
    what = group[0].what if len(group) == 1 else f"{group[0].what} and {len(group) - 1} more"
    if len(group) > 1 and message:
        words = {Stage.REQUIRE: "for new rows", Stage.VALIDATE: "for every row"}
        what = " ".join((message[:1].lower() + message[1:], words.get(group[0].stage, ""))).strip(" .")
    return f"{group[0].stage.phase.capitalize()}: {what}"


def _doc(message: str | None, group: tuple[Part, ...]) -> str:
    whats = "; ".join(part.what for part in group)
    why = f"{message.rstrip('.')}: {whats}" if message else whats
    locks = "; ".join(dict.fromkeys(part.locks for part in group if part.locks)) or "none"
    undo = "; ".join(dict.fromkeys(part.undo for part in group))
    return "\n".join(fill(word, text) for word, text in (("Why", why), ("Locks", locks), ("Undo", undo)))


def fill(word: str, text: str) -> str:
    """Spell one of the docstring's answers, wrapped."""
    return textwrap.fill(
        f"{word}: {text.rstrip('.')}.".replace("\\", "\\\\").replace('"""', "'''"), _WIDTH,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _names(group: tuple[Part, ...]) -> Iterator[str]:
    """Spell the module-level names that say what the revision is."""
    if any(part.leaves_transaction for part in group) and all(
        _may_run_again(statements) for statements in (_up(group).statements, _down(group).statements)
    ):
        yield "\n# Run again after an interruption, each statement does what is left to do.\nresumable = True"
    for name, pairs in (
        ("kept", [pair for part in group for pair in part.loses]),
        ("accepted", [pair for part in group for pair in part.accepted]),
    ):
        if pairs:
            lines = "".join(f"\n    {python(key)}: {python(text)}," for key, text in dict(pairs).items())
            yield f"\n{name} = {{{lines}\n}}"


def _may_run_again(statements: tuple[Sql, ...]) -> bool:
    last = max((place for place, one in enumerate(statements) if one.autocommit), default=-1)
    return all(one.autocommit for one in statements[: last + 1])


def _lines(statements: tuple[Sql, ...]) -> Iterator[str]:
    for autocommit, group in itertools.groupby(statements, key=lambda one: one.autocommit):
        inner = [line for one in group for line in _statement(one, indent=8 if autocommit else 4)]
        if autocommit:
            yield "with op.get_context().autocommit_block():"
            yield from ("    " + line if line else line for line in "\n".join(inner).split("\n"))
        else:
            yield from inner


def _statement(one: Sql, indent: int) -> Iterator[str]:
    """Spell one statement as a formatter would leave it."""
    if one.note:
        yield f"# {one.note}"
    text = _BIND.sub(r"\\:", one.text)
    if "\n" in text and not _literal_newline(text):
        body = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        yield 'op.execute(\n    """\n' + textwrap.indent(body, "    ") + '\n    """\n)'
    elif len(f"op.execute({python(text)})") <= _WIDTH - indent:
        yield f"op.execute({python(text)})"
    elif len(python(text)) <= _WIDTH - indent - 4:
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


def python(text: str) -> str:
    """Spell a Python string: in double quotes, or in single ones where that takes fewer backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    plain = text.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\n", "\\n").replace("\t", "\\t")
    return f"{quote}{plain}{quote}"


def _written(script: MigrationScript) -> bool:
    return any(isinstance(one, StatementsOp) for one in script.upgrade_ops_list[-1].ops)


def _x_arguments(context: MigrationContext) -> list[str]:
    return list(getattr(getattr(context.config, "cmd_opts", None), "x", None) or ())


def _date_in_order(context: MigrationContext) -> None:
    """Date each revision of one call a second after the one before: file names then sort as the chain runs."""
    script: Any = getattr(context.environment_context, "script", None)
    if script is None or getattr(script, "_airlock_dates", False):
        return
    make, number = script._generate_create_date, itertools.count()
    start: list[dt.datetime] = []

    def dated() -> dt.datetime:
        start.append(make())
        return start[0] + dt.timedelta(seconds=next(number))

    script._generate_create_date, script._airlock_dates = dated, True


def open_questions(text: str) -> list[str]:
    """List the lines of a revision that a person has to fill in."""
    return [line.strip(" #") for line in text.splitlines() if FILL_IN in line]
