"""A hundred changes of models: what is written blocks nobody, leads to the models exactly, and can be undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.catalogue import fingerprint
from airlock.records.difference import Difference
from airlock.records.trace import TracedRevision
from tests.airlock.revision.conftest import MAJORS, Shops
from tests.airlock.revision.harness import Shop, made_by
from tests.airlock.revision.shop import MUTATIONS, SAID, models

# One of each form, for the fast suite.
QUICK = ("index predicate changed",)


def cases() -> list[object]:
    return [
        pytest.param(
            name,
            major,
            marks=() if name in QUICK and major == 18 else pytest.mark.proof,
            id=f"{name}-{major}",
        )
        for major in MAJORS
        for name in MUTATIONS
    ]


def left(shop: Shop, wanted: fingerprint.Fingerprint) -> list[Difference]:
    """Compare the catalogue with the models' own, but for the version table and the order of columns."""
    found = fingerprint.differences(wanted, shop.fingerprint())
    return [one for one in found if not one.is_note and not one.object.startswith("shop.versions")]


@pytest.mark.parametrize(("name", "major"), cases())
def test_what_is_written(shops: Shops, tmp_path: Path, name: str, major: int) -> None:
    """Dangerous in no statement, up or down, but where the revision says why; exact; stable; proved."""
    wanted = models(name)
    with shops.copy(major, tmp_path) as shop:
        server, _ = shops.at(major)
        head = shop.head()
        written = shop.revise(wanted, rename="none")
        assert written
        traced = shop.trace(f"{head}:{written[-1]}")
        assert [one.revision for one in traced if isinstance(one, TracedRevision) and one.refused] == []
        assert shop.dangerous(traced) == []
        with server.database() as alone:
            assert left(shop, made_by(wanted, alone)) == []
        assert shop.revise(wanted, rename="none") == []
        proofs = shop.drill(f"{head}:{written[-1]}", server)
        assert [(one.verdict, one.reason) for one in proofs] == [("proved", "")] * len(written)


@pytest.mark.proof
@pytest.mark.parametrize("name", SAID)
def test_what_cannot_be_had_without_blocking_is_said(
    shops: Shops, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """A stored generated column: written, exact, found dangerous by the trace, and said while it is written."""
    wanted = models(name)
    with shops.copy(18, tmp_path) as shop:
        head = shop.head()
        written = shop.revise(wanted, rename="none")
        assert "rewrites the table" in caplog.text
        traced = shop.trace(f"{head}:{written[-1]}")
        assert shop.dangerous(traced) != []
        with shops.at(18)[0].database() as alone:
            assert left(shop, made_by(wanted, alone)) == []
        assert shop.revise(wanted, rename="none") == []
