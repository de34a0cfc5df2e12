"""Tables that the models lack: which go, in what order and with which types; which stay, and what holds them."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, differing, seen
from tests.airlock.revision.walk import start

# A circle, a table behind it with an enum of its own, and tables beside them.
TABLES = """
CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE TYPE hue AS ENUM ('red', 'blue'); CREATE TYPE size AS ENUM ('s', 'l');
CREATE TABLE kept (id serial PRIMARY KEY);
CREATE TABLE team (id serial PRIMARY KEY, lead int, m mood);
CREATE TABLE member (id serial PRIMARY KEY, team int NOT NULL REFERENCES team (id), boss int REFERENCES member (id));
ALTER TABLE team ADD FOREIGN KEY (lead) REFERENCES member (id);
CREATE TABLE sock (id serial PRIMARY KEY, member int REFERENCES member (id) ON DELETE CASCADE, hue hue DEFAULT 'red', hues hue[]);
CREATE TABLE lone (id serial PRIMARY KEY, keep int REFERENCES kept (id), size size);
"""
HOLDING = """
CREATE VIEW socks AS SELECT hue FROM sock; CREATE VIEW red AS SELECT * FROM socks WHERE hue = 'red';
CREATE FUNCTION large(size) RETURNS boolean LANGUAGE sql AS 'SELECT true';
ALTER TABLE kept ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON kept USING (EXISTS (SELECT FROM lone WHERE lone.keep = kept.id));
"""


@pytest.mark.proof
def test_what_holds_a_table_is_said_and_the_others_go(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Held by a view, a policy or a table that stays: said, with the types of those; set free, all go, and come back."""
    wanted = sa.MetaData()
    sa.Table("kept", wanted, sa.Column("id", sa.Integer, primary_key=True))
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(wanted)
        shop.upgrade(wanted)
        head = shop.head()
        shop.run(TABLES.replace("CREATE TABLE kept (id serial PRIMARY KEY);", "") + HOLDING)
        assert shop.revise(wanted, rename="none") == []
        held = [one.partition(": ") for one in caplog.messages if "drop that first" in one]
        assert {table: why.split(", and ")[1].split(" on it")[0] for table, _, why in held} == {
            "public.sock": "view socks leans",
            "public.lone": "policy few on table kept leans",
            "public.member": "constraint sock_member_fkey on table sock leans",
            "public.team": "constraint member_team_fkey on table member leans",
        }
        shop.run("DROP VIEW red, socks; DROP POLICY few ON kept")
        before = seen(database)
        shop.revise(wanted, rename="none")
        text = shop.written()
        assert 'op.execute("DROP TABLE member, team")' in text
        assert "DROP TYPE hue" in text
        # A function still takes it.
        assert "DROP TYPE size" not in text
        shop.upgrade(wanted)
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(before, seen(database)) == []
