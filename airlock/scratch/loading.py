"""Load modules of a project in airlock's own process, so that no code of theirs reaches a database.

Revisions are imported to be listed, before there is a scratch database: what one of them, or a module that it imports,
connects to or starts at import would be the user's own.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import event
from sqlalchemy.engine import Engine

from airlock.drivers.connect_functions import replaced
from airlock.drivers.libpq_environment import ABSENT_FILE, hiding
from airlock.project.project import Project
from airlock.records.errors import WrongTarget
from airlock.scratch.programs import NOWHERE, database_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def opened(config: Path, x_arguments: Sequence[str] = (), *, begun: bool = True) -> Project:
    """Open a project as `Project.open` does, and let none of its modules reach a database.

    Raises WrongTarget where one tries to.
    """
    with unconnected():
        return Project.open(config, x_arguments, begun=begun)


@contextlib.contextmanager
def unconnected() -> Iterator[None]:
    """Refuse connections (WrongTarget) and lead the environment nowhere until the block ends.

    Other threads wait with connections to scratch of their own.
    """

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise WrongTarget(
            "A revision, or a module that it imports, connects to a database while it is imported.",
            standing="It was stopped before it did.",
            then="connect inside upgrade() and downgrade(), by op.get_bind()",
        )

    with hiding():
        before = dict(os.environ)
        elsewhere = {**database_environment(before, NOWHERE), "PGHOST": ABSENT_FILE}
        led = {name for name in {*before, *elsewhere} if before.get(name) != elsewhere.get(name)}
        _put(led, elsewhere)
        event.listen(Engine, "do_connect", refuse)
        try:
            with replaced(lambda *_: refuse):
                yield
        finally:
            event.remove(Engine, "do_connect", refuse)
            _put(led, before)


def _put(names: set[str], environ: dict[str, str]) -> None:
    for name in names:
        if name in environ:
            os.environ[name] = environ[name]
        else:
            os.environ.pop(name, None)
