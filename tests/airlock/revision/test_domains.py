"""Domains of the models: other CHECKs and defaults in steps, another type by another name; or the sentence why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, differing, seen
from tests.airlock.revision.walk import start


def domain(name: str, kind: type[Any], check: str, **more: Any) -> pg.DOMAIN:
    return pg.DOMAIN(name, kind(), check=check, constraint_name=f"{name}_check", **more)


def models(*, edited: bool) -> sa.MetaData:
    metadata = sa.MetaData()
    more: list[sa.Column[Any]] = []
    mail = domain("mail", sa.Text, "VALUE ~ '.@.' AND VALUE <> 'VALUE'" if edited else "VALUE ~ '@'")
    if edited:
        price = domain("money_", sa.BigInteger, "VALUE > 0", default="5")
        more = [sa.Column("code", domain("code", sa.Text, "length(VALUE) = 3", default="abc"))]
    else:
        price = domain("price", sa.Integer, "VALUE > 0", default="7")
    called = "size_new" if edited else "size_old"
    size = pg.DOMAIN("size", sa.Integer(), check="VALUE > 1", constraint_name=called)
    sa.Table(
        "item", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("to", mail),
        sa.Column("price", price), sa.Column("size", size), *more,
    )  # fmt: skip
    return metadata


def test_a_domain_changes(scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A CHECK first for new values; a twin of a domain with a default holds what was there; the old one comes back."""
    before, wanted = models(edited=False), models(edited=True)
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        shop.run("INSERT INTO item (\"to\", price) VALUES ('a@b', 1), ('c@d', NULL), (NULL, 3)")
        head, was = shop.head(), seen(database)
        shop.revise(wanted, rename="none")
        assert "SELECT * FROM item WHERE NOT" in shop.written()
        assert "'VALUE'::text))))" in shop.written()
        assert "domain mail: its CHECK is validated under SHARE" in caplog.text
        assert "domain size" not in caplog.text
        shop.upgrade(wanted)
        assert shop.ask("SELECT price, code FROM item ORDER BY id") == [
            (1, "abc"),
            (None, "abc"),
            (3, "abc"),
        ]
        assert shop.ask("SELECT typname::text FROM pg_type WHERE typtype = 'd' AND typnamespace = 'public'::regnamespace"
                        " ORDER BY 1") == [("code",), ("mail",), ("money_",), ("size",)]  # fmt: skip
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(was, seen(database)) == []
        assert shop.ask("SELECT price FROM item ORDER BY id") == [(1,), (None,), (3,)]


def test_what_a_domain_cannot_become_is_said(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another type under the same name, NOT NULL, a CHECK where an array holds it: what to do instead, and nothing is written."""

    def made(kind: type[Any], check: str, *, required: bool) -> sa.MetaData:
        metadata = sa.MetaData()
        listed = domain("listed", sa.Text, check)
        sa.Table(
            "item", metadata, sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("a", domain("typed", kind, "VALUE IS NOT NULL")), sa.Column("b", pg.ARRAY(listed)),
            sa.Column("c", pg.DOMAIN("must", sa.Text(), not_null=required)),
        )  # fmt: skip
        return metadata

    before, wanted = (
        made(sa.Integer, "VALUE <> ''", required=False),
        made(sa.Text, "VALUE <> 'x'", required=True),
    )
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        assert shop.revise(wanted) == []
        assert "its columns turn to that one" in caplog.text
        assert "require the columns (nullable=False)" in caplog.text
        assert (
            'domain listed: its CHECKs cannot be changed where it is used (cannot alter type "listed"'
            in caplog.text
        )
