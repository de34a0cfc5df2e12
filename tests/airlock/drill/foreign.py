"""A history as others write them: serial keys, enums made in passing, downgrades that do nothing, too little, too much."""

from __future__ import annotations

from tests.airlock.histories import Revision

IMPORTS = "from sqlalchemy.dialects import postgresql"


def _table(name: str, number: int, *, enum: str = "", to: str = "") -> tuple[str, str]:
    """Write upgrade and downgrade of a table with a serial key, as autogenerate does; `enum` leaves its type behind."""
    columns = [
        "sa.Column('id', sa.Integer(), primary_key=True)", "sa.Column('name', sa.String(80), nullable=False)",
        "sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)",
    ]  # fmt: skip
    if enum:
        columns.append(f"sa.Column('state', sa.Enum('new', 'old', name='{enum}'), nullable=False)")
    if to:
        columns.append(f"sa.Column('{to}_id', sa.Integer(), sa.ForeignKey('{to}.id'), index=True)")
    if number % 2:
        columns.append("sa.Column('flags', postgresql.JSONB(), server_default='{}', nullable=False)")
    return f"op.create_table('{name}', {', '.join(columns)})", f"op.drop_table('{name}')"


def _column(table: str, name: str, kind: str = "sa.Text()") -> tuple[str, str]:
    return (
        f"op.add_column('{table}', sa.Column('{name}', {kind}))",
        f"op.drop_column('{table}', '{name}')",
    )


def _sql(up: str, down: str = "") -> tuple[str, str]:
    return f"op.execute({up!r})", f"op.execute({down!r})" if down else "pass"


PROVED, REFUSED, NOT_EXAMINED, IRREVERSIBLE = "proved", "refused", "not examined", "irreversible"

# One round of them; `{n}` tells the rounds apart. Each: upgrade, downgrade, the verdict.
_ROUND: tuple[tuple[tuple[str, str], str], ...] = (
    (_table("account{n}", 0), PROVED),
    (_table("task{n}", 1, to="account{n}"), PROVED),
    ((_column("account{n}", "phone")[0], "pass"), REFUSED),
    (_table("order{n}", 0, enum="state{n}", to="account{n}"), REFUSED),
    (_column("task{n}", "due", "sa.Date()"), PROVED),
    ((_column("task{n}", "mood")[0], "raise NotImplementedError()"), IRREVERSIBLE),
    (
        (
            ("op.create_table('note{n}', sa.Column('id', sa.Integer(), primary_key=True))\n"
            "op.create_index('ix_task{n}_name', 'task{n}', ['name'])"),
            "op.drop_table('note{n}')",
        ),
        REFUSED,
    ),
    (
        (_column("order{n}", "code")[0], "op.drop_column('order{n}', 'code')\nop.drop_column('order{n}', 'name')"),
        REFUSED,
    ),
    (_sql("CREATE INDEX ix_order{n}_state ON order{n} (state)", "DROP INDEX ix_order{n}_state"), PROVED),
    (
        (
            ("import json\nfor row in op.get_bind().execute(sa.text('SELECT id, name FROM account{n}')).fetchall():\n"
            "    json.loads(row.name)"),
            "pass",
        ),
        PROVED,
    ),
    (_sql("ALTER TABLE task{n} ALTER name TYPE varchar(120)", "ALTER TABLE task{n} ALTER name TYPE varchar(80)"), PROVED),
    (_sql("GRANT SELECT ON task{n} TO airlock_test_reader", "REVOKE SELECT ON task{n} FROM airlock_test_reader"), PROVED),
    (_sql("CREATE ROLE airlock_test_made{n}", "DROP ROLE airlock_test_made{n}"), NOT_EXAMINED),
    (_sql("CREATE EXTENSION IF NOT EXISTS airlock_no_such{n}", "DROP EXTENSION airlock_no_such{n}"), NOT_EXAMINED),
    (_sql("CREATE FOREIGN DATA WRAPPER w{n}", "DROP FOREIGN DATA WRAPPER w{n}"), NOT_EXAMINED),
    (_sql("CREATE TABLE place{n} (id serial PRIMARY KEY, at no_such_type{n})", "DROP TABLE place{n}"), NOT_EXAMINED),
    (_column("place{n}", "title"), NOT_EXAMINED),
    (_column("account{n}", "last"), PROVED),
    (_sql("UPDATE task{n} SET name = upper(name)"), REFUSED),
    (
        (
            _column("task{n}", "worth", "sa.Numeric(10, 2), server_default='1'")[0],
            "op.drop_column('task{n}', 'gone')",
        ),
        REFUSED,
    ),
    (
        _sql(
            "ALTER TABLE task{n} ADD CONSTRAINT named{n} CHECK (name <> '')",
            "ALTER TABLE task{n} DROP CONSTRAINT named{n}",
        ),
        PROVED,
    ),
)  # fmt: skip


def foreign(length: int) -> tuple[list[Revision], dict[str, str]]:
    """Make a history of so many revisions, with a branch and its merge in each round, and the verdict of each."""
    revisions: list[Revision] = []
    expected: dict[str, str] = {}
    below: str | tuple[str, ...] | None = None
    number = 0

    def add(up: str, down: str, verdict: str, revises: str | tuple[str, ...] | None) -> str:
        nonlocal number
        name = f"f{number:04d}"
        number += 1
        revisions.append(Revision(name, up, down, title=f"Step {name}", extra=IMPORTS, revises=revises))
        expected[name] = verdict
        return name

    for turn in range(length):
        for (up, down), verdict in _ROUND:
            below = add(up.replace("{n}", str(turn)), down.replace("{n}", str(turn)), verdict, below)
            if number >= length:
                return revisions, expected
        trunk = below
        left = add(*_column(f"account{turn}", "left_side"), PROVED, trunk)
        right = add(_column(f"task{turn}", "right_side")[0], "pass", REFUSED, trunk)
        below = add("pass", "pass", PROVED, (left, right))
        if number >= length:
            return revisions, expected
    return revisions, expected
