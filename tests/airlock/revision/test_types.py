"""Types that are not SQLAlchemy's: said as Alembic says them, with an import that makes them known, else by the catalogue."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import sqlalchemy_utils  # type: ignore[import-untyped]
from sqlalchemy.dialects import postgresql

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision import walk
from tests.airlock.revision.harness import Shop, differing, seen, start

MODULE = """
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, UserDefinedType


class Money(TypeDecorator):
    impl = sa.Numeric(12, 2)
    cache_ok = True


class Box(UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_):
        return "box"


class Coded(TypeDecorator):
    impl = sa.String(7)
    cache_ok = True

    def __init__(self, codec):
        super().__init__()


class Yes(TypeDecorator):
    impl = sa.Enum("yes", "no", name="yes")
    cache_ok = True
"""


@pytest.mark.proof
@pytest.mark.parametrize("how", ["prefix", "render_item"])
def test_types_of_the_project_run(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """By their modules, by env.py's prefix, or as its render_item says; what cannot be said so is the catalogue's type."""
    (tmp_path / "shop_types.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop_types", raising=False)
    import shop_types  # type: ignore[import-not-found]

    metadata = sa.MetaData()
    sa.Table(
        "till", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("sum", shop_types.Money, nullable=False),
        sa.Column("place", shop_types.Box), sa.Column("places", sa.ARRAY(shop_types.Box)),
        sa.Column("code", shop_types.Coded(object())), sa.Column("sure", shop_types.Yes),
        sa.Column("home", sqlalchemy_utils.URLType),
    )  # fmt: skip

    def render_item(kind: str, item: Any, context: Any) -> str | bool:
        if kind == "type" and isinstance(item, shop_types.Money):
            context.imports.add("from decimal import Decimal")
            return "sa.Numeric(12, int(Decimal(2)))"
        return False

    given: dict[str, dict[str, Any]] = {
        "as Alembic": {}, "prefix": {"user_module_prefix": "shop_types."}, "render_item": {"render_item": render_item},
    }  # fmt: skip
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "project"), database, given[how])
        (first,) = shop.revise(metadata)
        text = shop.text(first)
        assert 'sa.Column("place", shop_types.Box(), nullable=True)' in text
        assert 'sa.Column("code", sa.String(7), nullable=True)' in text
        assert 'sa.Column("home", sqlalchemy_utils.types.url.URLType(), nullable=True)' in text
        assert "create_type=False), nullable=True)" in text
        assert "import shop_types\n" in text.partition("revision = ")[0]
        money = (
            "sa.Numeric(12, int(Decimal(2)))"
            if how == "render_item"
            else "shop_types.Money(precision=12, scale=2)"
        )
        assert f'sa.Column("sum", {money}, nullable=False)' in text
        shop.upgrade(metadata)
        assert shop.revise(metadata) == []
        wanted = sa.MetaData()
        for table in metadata.tables.values():
            table.to_metadata(wanted)
        wanted.tables["till"].append_column(sa.Column("tip", shop_types.Money))
        (second,) = dataclasses.replace(shop).revise(wanted)
        assert f'op.add_column("till", sa.Column("tip", {money}, nullable=True))' in shop.text(second)
        shop.upgrade(wanted)
        shop.downgrade(wanted, "base")


@pytest.mark.proof
def test_domains_that_models_make_are_made(scratch: ScratchServer, tmp_path: Path) -> None:
    """A domain comes before the column that is of it, in a schema of its own as well, and goes with it."""
    before, wanted = sa.MetaData(), sa.MetaData()
    for metadata in (before, wanted):
        sa.Table("person", metadata, sa.Column("id", sa.Integer, primary_key=True))
    mail = postgresql.DOMAIN("Mail", sa.Text, check=sa.text("VALUE LIKE '%@%'"), metadata=wanted)
    amount = postgresql.DOMAIN("amount", sa.Numeric(10, 2), schema="kinds", default="0", metadata=wanted)
    sa.Table(
        "account", wanted, sa.Column("id", sa.Integer, primary_key=True), sa.Column("mail", mail), sa.Column("rest", amount),
    )  # fmt: skip
    wanted.tables["person"].append_column(sa.Column("rest", amount))
    with scratch.database() as database:
        shop = Shop(walk.start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        head, was = shop.head(), seen(database)
        written = shop.revise(wanted)
        shop.upgrade(wanted)
        shop.run("INSERT INTO account (mail) VALUES ('a@b')")
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(was, seen(database)) == []
        assert [one.verdict for one in shop.drill(f"{head}:{written[-1]}", scratch)] == ["proved"]
