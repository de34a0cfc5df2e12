"""Compare the CHECK constraints of models and database by what they say, not by how they are spelt.

PostgreSQL rewrites a CHECK when it stores it (`priority BETWEEN 1 AND 4` becomes two comparisons), so it is
given the model's CHECK too: on a temporary table made from the model's columns, in a savepoint that is rolled
back. Where that is refused, the revision says so, and `alembic check` fails.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

import alembic.util
import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.operations import ops
from alembic.util import sqla_compat

from airlock.project.percent_signs import undoubled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.autogenerate.api import AutogenContext
    from alembic.runtime.plugins import Plugin

log = logging.getLogger(__name__)

_EXISTING = sa.text(
    "SELECT k.conname, pg_get_expr(k.conbin, k.conrelid) FROM pg_constraint k"
    " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relname = :table AND n.nspname = coalesce(:schema, current_schema())"
    " AND k.contype = 'c' AND k.coninhcount = 0 ORDER BY k.conname"
)
_MADE = sa.text(
    "SELECT conname, pg_get_expr(conbin, conrelid) FROM pg_constraint"
    " WHERE conrelid = to_regclass('pg_temp.airlock_model') AND contype = 'c'"
)


class ChecksNotComparedOp(ops.MigrateOperation):
    """Stand in a revision for CHECKs that nobody compared. Runs nothing."""

    def __init__(self, table: str, reason: str) -> None:
        self.table = table
        self.reason = reason

    def reverse(self) -> ChecksNotComparedOp:
        """Leave the downgrade as uncompared as the upgrade."""
        return self

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Count as a difference, so that `alembic check` fails."""
        return ("checks_not_compared", self.table, self.reason)


@renderers.dispatch_for(ChecksNotComparedOp)
def _render(_context: AutogenContext, operation: ChecksNotComparedOp) -> str:
    return f"pass  # TODO: the CHECKs of {operation.table} were not compared: {operation.reason}"


def compare_checks(
    context: AutogenContext,
    modify: ops.ModifyTableOps,
    schema: str | None,
    name: str,
    database_table: sa.Table | None,
    model_table: sa.Table | None,
) -> Any:
    """Add to `modify` what makes the database's CHECKs those of the model. Reads the catalogue only."""
    if database_table is None or model_table is None or context.connection is None:
        return _next_comparison()
    existing = {
        str(constraint): str(expression)
        for constraint, expression in context.connection.execute(_EXISTING, {"table": name, "schema": schema})
        if context.run_name_filters(
            constraint, "check_constraint", {"table_name": name, "schema_name": schema}
        )
    }
    wanted = list(_model_checks(context, database_table, model_table))
    try:
        spelt = (
            [_spellings(context.connection, model_table, check.text) for check in wanted] if wanted else []
        )
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).splitlines()[0].strip()
        label = f"{schema}.{name}" if schema else name
        log.warning("CHECKs not compared on %s: %s", label, reason)
        modify.ops.append(ChecksNotComparedOp(label, reason))
        return _next_comparison()
    _difference(modify, database_table, existing, list(zip(wanted, spelt, strict=True)))
    return _next_comparison()


def setup(plugin: Plugin) -> None:
    """Register the comparison with Alembic."""
    plugin.add_autogenerate_comparator(compare_checks, "table", "airlock_checks", qualifier="postgresql")


def register() -> None:
    """Register the comparison once for every run of this process, as Alembic before 1.18 has it."""
    from alembic.autogenerate import comparators

    def compare(*arguments: Any) -> None:
        compare_checks(*arguments)

    registered: Any = comparators
    if not getattr(registered, "_airlock_checks", False):
        registered.dispatch_for("table", "postgresql")(compare)
        registered._airlock_checks = True


def _next_comparison() -> Any:
    """Have the comparators behind this one asked too; before Alembic 1.18 all are, whatever is returned."""
    result: Any = getattr(alembic.util, "PriorityDispatchResult", None)
    return result.CONTINUE if result is not None else None


class _Check:
    """A CHECK of the model: its final name, where it has one, and its text as DDL would send it."""

    def __init__(self, constraint: sa.CheckConstraint, dialect: sa.Dialect) -> None:
        self.name = sqla_compat._get_constraint_final_name(constraint, dialect)
        self.text = str(
            constraint.sqltext.compile(
                dialect=undoubled(dialect), compile_kwargs={"literal_binds": True, "include_table": False}
            )
        )


def checks_of(table: sa.Table) -> set[sa.CheckConstraint]:
    """Collect the CHECKs of a table of the models, those of its columns and of their types among them."""
    every = itertools.chain(table.constraints, *(column.constraints for column in table.columns))
    return {one for one in every if isinstance(one, sa.CheckConstraint)}


def _model_checks(context: AutogenContext, database: sa.Table, model: sa.Table) -> Iterator[_Check]:
    compiler = context.dialect.ddl_compiler(context.dialect, None)  # type: ignore[arg-type]
    for constraint in checks_of(model):
        rule = constraint._create_rule
        if rule is not None and not rule(compiler):
            continue
        # The CHECK of a new column's own type comes with the column.
        new = any(column.name not in database.columns for column in constraint.columns)
        if sqla_compat._is_type_bound(constraint) and new:
            continue
        yield _Check(constraint, context.dialect)


def _difference(
    modify: ops.ModifyTableOps,
    table: sa.Table,
    existing: dict[str, str],
    wanted: list[tuple[_Check, set[str]]],
) -> None:
    drops, adds = [], []
    left = dict(existing)
    named = {check.name for check, _ in wanted if check.name}
    for check, spellings in sorted(wanted, key=lambda pair: (pair[0].name or "", pair[0].text)):
        if check.name is None:
            same = [name for name in left if name not in named and left[name] in spellings]
        else:
            same = [check.name] if left.get(check.name) in spellings else []
        if same:
            del left[same[0]]
        else:
            adds.append(check)
    detached = sa.Table(table.name, sa.MetaData(), schema=table.schema)
    for name, expression in left.items():
        drops.append(ops.DropConstraintOp.from_constraint(_constraint(detached, name, expression)))
        log.info("Detected removed or changed check constraint %r on table %r", name, table.fullname)
    for check in adds:
        log.info("Detected added or changed check constraint %r on table %r", check.name, table.fullname)
    modify.ops.extend(drops)
    modify.ops.extend(
        ops.AddConstraintOp.from_constraint(_constraint(detached, check.name, check.text)) for check in adds
    )


def _constraint(table: sa.Table, name: str | None, expression: str) -> sa.CheckConstraint:
    # A colon before a word would be taken for a bind.
    text: sa.ColumnClause[bool] = sa.literal_column(expression, sa.Boolean)
    constraint = sa.CheckConstraint(text, name=sa.sql.naming.conv(name) if name else None)
    table.append_constraint(constraint)
    return constraint


def _spellings(connection: sa.Connection, model: sa.Table, text: str) -> set[str]:
    """Let PostgreSQL spell a CHECK, on the model's columns and on the database's.

    The two differ where a column's type does (`(title)::text`); changing the type will change the CHECK too.
    Raises DBAPIError where it does not fit the model's columns, or no temporary table is allowed.
    """
    prepare = connection.dialect.identifier_preparer
    columns = ", ".join(
        f"{prepare.format_column(column)} {connection.dialect.type_compiler_instance.process(column.type)}"
        for column in model.columns
    )
    spelt = {_spell(connection, f"({columns})", text)}
    try:
        spelt.add(_spell(connection, f"(LIKE {prepare.format_table(model)})", text))
    except sa.exc.DBAPIError:
        log.debug("the CHECK %s needs columns that the database lacks", text)
    return spelt


def _spell(connection: sa.Connection, definition: str, text: str) -> str:
    options = {"no_parameters": True}  # so that the driver leaves every % alone
    savepoint = connection.begin_nested()
    try:
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE airlock_model {definition}", execution_options=options
        )
        connection.exec_driver_sql(
            f"ALTER TABLE pg_temp.airlock_model ADD CONSTRAINT spelt CHECK ({text})",
            execution_options=options,
        )
        return str(connection.execute(_MADE).one()[1])
    finally:
        savepoint.rollback()
