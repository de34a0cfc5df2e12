"""From a plan to Alembic's scripts: which parts share a revision, its title, docstring and names."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from alembic.operations import ops
from alembic.util import rev_id

from airlock.operations.revision.parts import Stage
from airlock.operations.revision.written.calls import python
from airlock.operations.revision.written.docstrings import Title, answers
from airlock.operations.revision.written.rendering import StatementsOp, render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alembic.operations.ops import MigrationScript

    from airlock.operations.revision.model_types import Words
    from airlock.operations.revision.parts import Part, Sql


def scripts(first: MigrationScript, parts: Iterable[Part], words: Words | None) -> list[MigrationScript]:
    """Make one script per revision, chained, the first of them in the place of `first`.

    `words` are what columns are said with; None: everything is said as SQL.
    """
    groups = list(bundles(parts))
    tokens = first.upgrade_ops_list[-1].upgrade_token, first.downgrade_ops_list[-1].downgrade_token
    made: list[MigrationScript] = []
    head, identity = first.head, first.rev_id or rev_id()
    message = (first.message or "").strip() or None
    if message is not None and len(groups) > 1:
        # What it says behind its first line is of all of them, and no title of one.
        message = message.splitlines()[0].rstrip()
    titles = _titles(message, groups)
    for number, group in enumerate(groups):
        script = ops.MigrationScript(
            rev_id=identity,
            upgrade_ops=ops.UpgradeOps([up_of(group, words)], upgrade_token=tokens[0]),
            downgrade_ops=ops.DowngradeOps([down_of(group, words)], downgrade_token=tokens[1]),
            message=Title(titles[number], answers(message, group, alone=len(groups) == 1)),
            imports=_imports(group, words),
            head=head,
            splice=first.splice if number == 0 else None,
            branch_label=first.branch_label if number == 0 else None,
            version_path=first.version_path,
            depends_on=first.depends_on if number == 0 else None,
        )
        made.append(script)
        head, identity = identity, rev_id()
    return made


def bundles(parts: Iterable[Part]) -> Iterator[tuple[Part, ...]]:
    """Gather the parts that may share a revision, in the order of their stages."""
    ordered = sorted(
        enumerate(parts), key=lambda pair: (pair[1].stage, pair[1].own, pair[1].leaves_transaction, pair[0])
    )

    def together(pair: tuple[int, Part]) -> tuple[Any, ...]:
        place, part = pair
        return part.stage, part.leaves_transaction, place if part.own else -1

    for _, group in itertools.groupby(ordered, key=together):
        yield tuple(part for _, part in group)


def up_of(group: tuple[Part, ...], words: Words | None = None) -> StatementsOp:
    """Put the statements that go up in order: what locks against everybody comes last."""
    statements = [one for part in group for one in part.up] + [one for part in group for one in part.last]
    return StatementsOp("; ".join(part.what for part in group), tuple(statements), words)


def down_of(group: tuple[Part, ...], words: Words | None = None) -> StatementsOp:
    """Put the statements that go down in order."""
    statements = [one for part in reversed(group) for one in part.down]
    return StatementsOp("; ".join(part.what for part in group), tuple(statements), words)


def _titles(message: str | None, groups: list[tuple[Part, ...]]) -> list[str]:
    if message and len(groups) == 1:
        return [message.rstrip(".")]
    return [title_of(message, group) for group in groups]


def title_of(message: str | None, group: tuple[Part, ...]) -> str:
    """Give a revision of several its title: phase, then what it does."""
    what = group[0].what if len(group) == 1 else f"{group[0].what} and {len(group) - 1} more"
    if len(group) > 1 and message:
        words = {
            Stage.REQUIRE: "for new rows", Stage.REQUIRE_TURNED: "for new rows",
            Stage.VALIDATE: "for every row", Stage.VALIDATE_TURNED: "for every row",
        }  # fmt: skip
        what = " ".join((message[:1].lower() + message[1:], words.get(group[0].stage, ""))).strip(" .")
    return f"{group[0].stage.phase.capitalize()}: {what}"


def _imports(group: tuple[Part, ...], words: Words | None) -> set[str]:
    """Gather what stands behind the imports of the template: one more import, then the revision's own names."""
    said = "".join(render(one) for one in (up_of(group, words), down_of(group, words)))
    names = sorted(_names(group))
    imports = words.imports(said) if words is not None else []
    if "postgresql." in said and words is not None:
        imports = sorted({*imports, "from sqlalchemy.dialects import postgresql"})
    return {"\n".join((*imports, *names))} if imports or names else set()


def _names(group: tuple[Part, ...]) -> Iterator[str]:
    """Spell the module-level names that say what the revision is."""
    if any(part.leaves_transaction for part in group) and all(
        _may_run_again(statements)
        for statements in (up_of(group, None).statements, down_of(group, None).statements)
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
