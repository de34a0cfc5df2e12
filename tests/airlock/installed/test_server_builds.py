"""Revisions that ask for what a server has by its build alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.scratch import embedded, installations
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
    """A server built without ICU leaves it not examined, with the line that brings one; where one has it, it is taken."""
    ini = write_shop(tmp_path)
    (tmp_path / "migrations/versions/d4.py").write_text(REVISION)
    found = embedded.available()
    without = [
        major for major, bindir in found.items() if installations.ICU not in installations.there(bindir)
    ]
    having = max(found.keys() - without, default=None)
    usual = forked.airlock(ini, "drill", "c3:d4", "--rows", "5", url=None, timeout=170)
    if having is not None:
        assert re.search(r"^. d4 +proved", usual.out, re.MULTILINE), usual.out + usual.err
        assert without == [] or f"--scratch embedded:{having}: it has what" in usual.err
    for major in without[-1:]:
        named = forked.airlock(
            ini, "drill", "c3:d4", "--rows", "5", "--scratch", f"embedded:{major}", url=None, timeout=170
        )
        assert named.code == 3, named.out + named.err
        assert f"in this build: try {installations.line(installations.ICU)}" in " ".join(named.out.split())
