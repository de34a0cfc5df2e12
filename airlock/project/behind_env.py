"""Revisions that can be imported only behind env.py, where Alembic's own commands import them.

What env.py puts among the modules' places, the models that it imports first, the application in whose context it stands:
revisions lean on it, and nobody notices, because Alembic reads them when env.py asks for them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import event
from sqlalchemy.engine import Engine

from airlock.project.flask_application import around
from airlock.project.ini import ini_url
from airlock.project.output import to_standard_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from alembic.config import Config
    from alembic.script import ScriptDirectory


class _Reached(BaseException):
    """Ends env.py; no `except Exception` of its own stands in the way."""


def load_behind_env(config: Config, script: ScriptDirectory, load: Callable[[], object]) -> None:
    """Run env.py as for `--sql`, no further than it configures Alembic or connects, and call `load` there.

    Behind env.py's end where it comes to neither. No engine of env.py's connects. Raises what `load` raises; what env.py
    raises is told where it is run.
    """
    outcome: list[Exception | None] = []

    def reached(*_: Any, **__: Any) -> NoReturn:
        try:
            load()
            outcome.append(None)
        except Exception as error:  # noqa: BLE001  kept for the caller: env.py might handle it
            outcome.append(error)
        raise _Reached

    environment = EnvironmentContext(config, script, fn=lambda *_: (), as_sql=True)
    setattr(environment, "configure", reached)  # noqa: B010  mypy forbids assigning to a method
    with around(script), ini_url(config, script), environment, to_standard_error():
        event.listen(Engine, "do_connect", reached)
        try:
            with contextlib.suppress(Exception, SystemExit, _Reached):
                script.run_env()
        finally:
            event.remove(Engine, "do_connect", reached)
        if not outcome:
            load()
    if outcome and outcome[0] is not None:
        raise outcome[0]
