"""The connection that an env.py wants to be given: `config.attributes["connection"]`, Alembic's cookbook for programs.

The program that calls Alembic puts it there; airlock does in its place where env.py asks, and cannot do without.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from airlock.project.flask_application import run_env
from airlock.project.ini import usual_driver
from airlock.records.errors import AirlockError, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airlock.project.project import Project

# What projects call it. The first is the cookbook's; some put an engine there under the same name.
_NAMES = ("connection", "connectable", "engine")


def run(project: Project, begun: Callable[[], bool]) -> None:
    """Run env.py; where it stops for want of a connection, give it one and run it once more.

    `attributes.get("connection")` finds nothing at first: most then make an engine of their own, as they do for
    the `alembic` command. `begun` tells whether env.py has come to the steps, behind which nothing is run again. Where the
    given connection leads is the redirect's business. Raises what env.py raises, Usage where it asks for what only its own
    program has.
    """
    config = project.config
    with _standing_in(config) as asked:
        try:
            run_env(project.script)
        except AirlockError:
            raise
        except Exception as error:
            if begun():
                raise
            _explain(error, asked, config)
            if not asked & set(_NAMES):
                raise
            try:
                _run_with_one(project, begun)
            except Exception as again:
                if not begun():
                    _explain(again, asked, config)
                raise


def _run_with_one(project: Project, begun: Callable[[], bool]) -> None:
    """Run env.py with a connection to ask for; with the engine under every name where it takes that for one."""
    engine = create_engine(f"postgresql+{usual_driver()}://", poolclass=NullPool)
    attributes = project.config.attributes
    try:
        with engine.connect() as connection:
            attributes.update(connection=connection, connectable=engine, engine=engine)
            try:
                run_env(project.script)
            except AttributeError as error:
                if begun() or getattr(error, "obj", None) is not connection:
                    raise
                attributes["connection"] = engine
                run_env(project.script)
    finally:
        for name in _NAMES:
            attributes.pop(name, None)


class _Attributes(dict[str, Any]):
    """Alembic's `config.attributes`, which keeps the names that env.py looked for in vain."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.missed: set[str] = set()

    def __missing__(self, name: str) -> Any:
        self.missed.add(name)
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self.missed.add(name)
        return super().get(name, default)


@contextlib.contextmanager
def _standing_in(config: Any) -> Iterator[set[str]]:
    """Look on at what env.py asks `config.attributes` for, until the block ends; what it puts there stays."""
    before = config.attributes
    looking = config.attributes = _Attributes(before)
    try:
        yield looking.missed
    finally:
        before.clear()
        before.update(looking)
        config.attributes = before


def _explain(error: Exception, missed: set[str], config: Any) -> None:
    """Raise Usage for an attribute that nobody but the project's own program sets, and airlock does not either."""
    asked = ""
    if isinstance(error, KeyError) and error.args and error.args[0] in missed - set(_NAMES):
        asked = f"config.attributes[{error.args[0]!r}]"
    elif isinstance(error, AttributeError) and error.obj is config:
        asked = f"config.{error.name}"
    if asked:
        raise Usage(
            f"env.py asks for {asked}, which only the program that calls Alembic puts there.",
            then='configure = "module:function" in the settings: a function that does the same with the configuration',
        ) from error
