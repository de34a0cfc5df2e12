"""Columns that a trigger sets at each UPDATE: a revision that fills rows says that they stay as they are then."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.airlock.revision.harness import Shop
from tests.airlock.revision.shop import models

TOUCH = """
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = OLD.note THEN
        NEW.created_at := now();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON shop.customer FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE FUNCTION shop.tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.score := 1; RETURN NEW; END';
CREATE TRIGGER tell BEFORE UPDATE OF note ON shop.customer FOR EACH ROW EXECUTE FUNCTION shop.tell();
CREATE TRIGGER new BEFORE INSERT ON shop.customer FOR EACH ROW EXECUTE FUNCTION shop.tell();
"""


def test_what_a_trigger_sets_beside_a_backfill_is_kept(shop: Shop) -> None:
    """Where rows are filled, and nowhere else; not what is set at an INSERT, or when another column is written."""
    shop.run(TOUCH)
    wanted = models()
    wanted.tables["shop.customer"].c.name.nullable = False
    shop.revise(wanted)
    kept = '"shop.customer.created_at": "the trigger\'s touch() sets it at each UPDATE"'
    scripts = ScriptDirectory.from_config(Config(shop.ini)).walk_revisions()
    texts = [Path(one.path).read_text() for one in scripts][:-1]
    assert len(texts) > 2
    for text in texts:
        assert (kept in text) == ("UPDATE shop.customer" in text)
        assert "shop.customer.score" not in text
    assert sum(kept in text for text in texts) == 2
