"""Operations that another extension of Alembic has found (enums, views, functions): they pass through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.operations import ops
from alembic.util import rev_id

from airlock.operations.revision import ddl
from airlock.operations.revision.written.docstrings import Title, fill

if TYPE_CHECKING:
    from alembic.operations.ops import MigrateOperation, MigrationScript

    from airlock.operations.revision.parts import Part

# Of its operations on enums: types are made and dropped by it, where it speaks; labels change by ours.
_ENUMS = "alembic_postgresql_enum"


def foreign(script: MigrationScript) -> list[MigrateOperation]:
    """List what autogenerate found that is none of Alembic's own operations."""
    return [
        one
        for one in script.upgrade_ops_list[-1].ops
        if not type(one).__module__.startswith(("alembic.", "airlock."))
    ]


def spoken_for(
    operations: list[MigrateOperation], parts: tuple[Part, ...]
) -> tuple[list[MigrateOperation], tuple[Part, ...]]:
    """Let one speak where two would: another extension of enums that come and go, ours of labels.

    Its operations on labels rewrite every table of the type under ACCESS EXCLUSIVE, on the way up or on the way down.
    """
    theirs: list[Any] = [one for one in operations if _of_enums(one)]
    if not theirs:
        return operations, parts
    whole = [part for part in parts if part.what.startswith(("create type ", "drop type ")) and part.types]
    others = [part for part in parts if part not in whole]
    # What goes with its table, or changes its labels, is in our hands; types that come and go by themselves in theirs.
    ours = {ddl.unqualified(name) for part in others for name in (*part.types, part.relabels) if name}
    theirs = [one for one in theirs if one.name not in ours]
    made = {one.name for one in theirs}
    kept = tuple(one for one in parts if one not in whole or not {*map(ddl.unqualified, one.types)} <= made)
    return [one for one in operations if not _of_enums(one) or one in theirs], kept


def _of_enums(operation: MigrateOperation) -> bool:
    return type(operation).__module__.startswith(_ENUMS)


def around(
    first: MigrationScript, scripts: list[MigrationScript], operations: list[MigrateOperation]
) -> list[MigrationScript]:
    """Put types before the scripts that use them, and everything else behind, each in a revision of its own."""
    before = [
        one
        for one in operations
        if "Enum" in type(one).__name__ and not type(one).__name__.startswith("Drop")
    ]
    after = [one for one in operations if one not in before]
    made = [_script(first, before, "types")] if before else []
    made += scripts
    made += [_script(first, after, "what stands beside tables")] if after else []
    head = first.head
    for number, script in enumerate(made):
        script.head = head
        if number:
            script.splice, script.branch_label, script.depends_on = False, None, None
        head = script.rev_id or head
    return made


def _script(first: MigrationScript, operations: list[MigrateOperation], what: str) -> MigrationScript:
    named = ", ".join(dict.fromkeys(type(one).__name__.removesuffix("Op") for one in operations))
    title = f"{first.message.rstrip('.')}: {what}" if first.message else what.capitalize()
    told = "\n".join(
        (
            fill("Why", f"another extension of Alembic has found {named}"),
            fill("Locks", "as its operations take them"),
            fill("Undo", "as its operations are undone"),
        )
    )
    return ops.MigrationScript(
        rev_id=rev_id(),
        upgrade_ops=ops.UpgradeOps(operations, upgrade_token=first.upgrade_ops_list[-1].upgrade_token),
        downgrade_ops=ops.DowngradeOps(
            [one.reverse() for one in reversed(operations)],
            downgrade_token=first.downgrade_ops_list[-1].downgrade_token,
        ),
        message=Title(title, told), imports=set(), head=first.head, splice=first.splice, branch_label=first.branch_label,
        version_path=first.version_path, depends_on=first.depends_on,
    )  # fmt: skip
