"""Revisions that ask for what a server has by its build alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.airlock import forked
from tests.airlock.installed.shop import write_shop

if TYPE_CHECKING:
    from pathlib import Path

REVISION = '''\
"""Add a collation of ICU's"""
from alembic import op

revision, down_revision = "d4", "c3"


def upgrade():
    op.execute("CREATE COLLATION numeric_order (provider = icu, locale = 'en-u-kn-true')")


def downgrade():
    op.execute("DROP COLLATION numeric_order")
'''


def test_a_collation_of_icu_is_no_fault_of_the_revision(tmp_path: Path) -> None:
    """A server built without ICU leaves it not examined, with what to try; one with ICU proves it."""
    ini = write_shop(tmp_path)
    (tmp_path / "migrations/versions/d4.py").write_text(REVISION)
    ran = forked.airlock(ini, "drill", "c3:d4", "--rows", "5", url=None, timeout=170)
    found = re.search(r"^(.) d4 +(proved|not examined)", ran.out, re.MULTILINE)
    assert found, ran.out + ran.err
    if found[2] == "not examined":
        assert ran.code == 3
        assert "ICU is not supported in this build: try --scratch" in ran.out
