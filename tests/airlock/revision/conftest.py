"""Fixtures: a shop at head, copied for every test by CREATE DATABASE … TEMPLATE."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.scratch.servers import ScratchServer, scratch_server
from tests.airlock.revision.harness import Shop, base

# What is written differs from 15 and from 18 on (`leaning.py`), and in nothing between.
MAJORS = (15, 18)


@pytest.fixture(scope="session")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    with contextlib.ExitStack() as stack:
        yield Shops(stack, tmp_path_factory)


class Shops:
    """Servers and base databases by major version, started when they are first wanted."""

    def __init__(self, stack: contextlib.ExitStack, directories: pytest.TempPathFactory) -> None:
        self.stack = stack
        self.directories = directories
        self.started: dict[int, tuple[ScratchServer, Shop]] = {}

    def at(self, major: int) -> tuple[ScratchServer, Shop]:
        if major not in self.started:
            server = self.stack.enter_context(scratch_server(f"embedded:{major}"))
            shop = self.stack.enter_context(base(server, self.directories.mktemp(f"shop{major}")))
            self.started[major] = (server, shop)
        return self.started[major]

    @contextlib.contextmanager
    def copy(self, major: int, directory: Path) -> Iterator[Shop]:
        """Copy the project and its database."""
        server, original = self.at(major)
        shutil.copytree(original.directory, directory / "shop")
        with server.clone(original.database) as database:
            yield Shop(directory / "shop", database)


@pytest.fixture
def shop(shops: Shops, tmp_path: Path) -> Iterator[Shop]:
    """A shop of one's own on the newest server."""
    with shops.copy(18, tmp_path) as made:
        yield made


@pytest.fixture
def scratch(shops: Shops) -> ScratchServer:
    """The server that `shop` is on."""
    return shops.at(18)[0]
