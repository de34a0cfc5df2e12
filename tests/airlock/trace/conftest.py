"""What the traces' tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.scratch.servers import ScratchServer, scratch_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def scratch() -> Iterator[ScratchServer]:
    """Serve scratch databases."""
    with scratch_server() as served:
        yield served
