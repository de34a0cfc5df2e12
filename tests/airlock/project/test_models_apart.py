"""Models stay as their modules declare them while revisions are loaded."""

from __future__ import annotations

import sqlalchemy as sa

from airlock.project.models_apart import models_apart

REVISION = """
from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, Table, UniqueConstraint
down_revision = None
rules = [
    CheckConstraint(task.c.kind.in_(["a", "b"]), name="filled"),
    CheckConstraint(task.c.kind != "c"),
    UniqueConstraint(task.c.kind, name="once"),
    Index("by_kind", task.c.kind),
]
own = Table("own", MetaData(), Column("n", Integer), CheckConstraint("n > 0", name="positive"))
Index("by_n", own.c.n)
"""


def test_what_a_revision_hangs_on_a_model_is_not_the_models() -> None:
    """By the columns it names SQLAlchemy adds it; the revision's own tables keep theirs, and models made meanwhile too."""
    task = sa.Table(
        "task", sa.MetaData(), sa.Column("kind", sa.String), sa.CheckConstraint("kind <> ''", name="filled")
    )
    module = {"__name__": "a1_py", "task": task}
    with models_apart():
        exec(compile(REVISION, "a1.py", "exec"), module)  # noqa: S102
        other = sa.Table(
            "other", sa.MetaData(), sa.Column("n", sa.Integer), sa.CheckConstraint("n > 1", name="more")
        )
        sa.Index("by_other", other.c.n)
    assert [one.name for one in task.constraints if isinstance(one, sa.CheckConstraint)] == ["filled"]
    assert (len(task.constraints), len(task.indexes)) == (2, 0)
    for table, check in ((module["own"], "positive"), (other, "more")):
        assert isinstance(table, sa.Table)
        assert {one.name for one in table.constraints} == {check, None}
        assert len(table.indexes) == 1
    sa.Index("afterwards", task.c.kind)
    assert len(task.indexes) == 1
