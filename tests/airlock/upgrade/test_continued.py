"""A plan that takes more than one run of env.py is carried out as it was announced, and no further."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import BEGIN, HEADER, Revision, write_project
from tests.airlock.running import rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

LOCKED_ONCE = (
    "DO $$ BEGIN IF to_regclass('trip') IS NOT NULL THEN IF nextval('trip') = 1 THEN "
    "RAISE EXCEPTION 'no lock' USING ERRCODE = '55P03'; END IF; END IF; END $$"
)


def history() -> list[Revision]:
    """Write a trunk of one revision and two branches of two; `left1` gets its lock at the second try only."""

    def one(name: str, below: str | None, label: str = "", first: str = "SELECT 1") -> Revision:
        return Revision(
            name,
            f'op.execute("CREATE TABLE {name} (id integer)")',
            f'op.execute({first!r})\nop.execute("DROP TABLE {name}")',
            extra=f"branch_labels = ({label!r},)" if label else "",
            revises=below,
        )

    left = [one("left1", "trunk", "left", LOCKED_ONCE), one("left2", "left1")]
    return [one("trunk", None), *left, one("right1", "trunk", "right"), one("right2", "right1")]


def heads(database: Database) -> list[str]:
    return sorted(str(row[0]) for row in rows(database.url, "SELECT version_num FROM alembic_version"))


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["a lock that is got at the second try", "one transaction of env.py's own"])
def test_a_way_down_one_branch_leaves_the_other(kind: str, tmp_path: Path, empty_database: Database) -> None:
    """`left@-2` again, half way, would mean the trunk and with it the right branch: two revisions go, not four."""
    retried = kind.startswith("a lock")
    env = None if retried else HEADER + BEGIN.format(driver="psycopg2", options="")
    ini = write_project(tmp_path, history(), env=env)
    assert forked.airlock(ini, "upgrade", "heads", url=empty_database.url).code == 0
    if retried:
        rows(empty_database.url, "CREATE SEQUENCE trip")
    ran = forked.airlock(
        ini, "downgrade", "left@-2", "--json", "--scratch", empty_database.url, url=empty_database.url
    )
    assert (ran.code, heads(empty_database)) == (0, ["right2"]), ran.err
    assert [event["revision"] for event in ran.events if event["event"] == "step"] == ["left2", "left1"]
    assert any(event["event"] == "retry" for event in ran.events) is retried


def test_a_way_up_in_one_transaction_each(tmp_path: Path, empty_database: Database) -> None:
    """`left@+2` with `engine.begin()`: two runs of env.py, two revisions."""
    ini = write_project(tmp_path, history(), env=HEADER + BEGIN.format(driver="psycopg2", options=""))
    assert forked.airlock(ini, "upgrade", "trunk", url=empty_database.url).code == 0
    ran = forked.airlock(ini, "upgrade", "left@+2", url=empty_database.url)
    assert (ran.code, heads(empty_database)) == (0, ["left2"]), ran.err


@pytest.mark.parametrize(("target", "said"), [("base", "airlock downgrade base"), ("left@", "left@head")])
def test_a_target_that_no_upgrade_has(
    target: str, said: str, tmp_path: Path, empty_database: Database
) -> None:
    """Bare Alembic does nothing for `base`, and asserts for an empty branch: 2, with what was meant."""
    ini = write_project(tmp_path, history())
    ran = forked.airlock(ini, "upgrade", target, url=empty_database.url)
    assert ran.code == 2 and said in ran.error
