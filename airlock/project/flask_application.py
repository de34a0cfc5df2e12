"""The Flask application around an env.py that asks for it, as `flask db` puts it there."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command

from airlock.records.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.script import ScriptDirectory

_loaded: dict[Path, tuple[Any, str]] = {}


def run_env(script: ScriptDirectory) -> None:
    """Run env.py as Alembic does, inside the application's context where it reads `current_app`. Raises Usage as that does."""
    with around(script):
        script.run_env()


def load(script: ScriptDirectory) -> None:
    """Load the application that env.py asks for, once in a process; nothing where it asks for none, or none is found.

    To be called before Alembic's environment is entered: an application may enter one of its own.
    """
    _application(script)


@contextlib.contextmanager
def around(script: ScriptDirectory) -> Iterator[None]:
    """Stand in the context of the application that env.py asks for, if it does.

    It is looked for as the `flask` command looks for it: FLASK_APP, else wsgi.py or app.py of the directory that the process
    stands in; .env and .flaskenv are read, and take nothing's place. Raises Usage where env.py cannot do without it and it
    is not found.
    """
    application, missing = _application(script)
    with application.app_context() if application is not None else contextlib.nullcontext():
        try:
            yield
        except RuntimeError as error:
            if missing and "application context" in str(error):
                raise Usage(
                    f"env.py asks for the Flask application, which is not found: {missing}",
                    then="--env FLASK_APP=module:factory, or the same in the settings as env",
                ) from error
            raise


def _application(script: ScriptDirectory) -> tuple[Any, str]:
    """Give the application that env.py asks for, else why there is none; neither where it asks for none or has one."""
    if not _asks(script):
        return None, ""
    try:
        flask: Any = importlib.import_module("flask")
    except ImportError:
        # Another library's word, or one that env.py itself will miss.
        return None, ""
    if flask.has_app_context():
        return None, ""
    here = Path.cwd()
    if here not in _loaded:
        _loaded[here] = _load()
    return _loaded[here]


def _asks(script: ScriptDirectory) -> bool:
    try:
        text = Path(script.env_py_location).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "current_app" in text


@contextlib.contextmanager
def _not_migrating() -> Iterator[None]:
    """Keep an application from migrating its database while it is loaded, as some do when they start."""
    before = {name: getattr(command, name) for name in ("upgrade", "downgrade", "stamp")}
    for name in before:
        setattr(command, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(command, name, function)


def _load() -> tuple[Any, str]:
    click: Any = importlib.import_module("click")
    cli: Any = importlib.import_module("flask.cli")
    cli.load_dotenv()
    try:
        with _not_migrating():
            return cli.ScriptInfo(app_import_path=os.environ.get("FLASK_APP") or None).load_app(), ""
    except click.UsageError as error:
        # The others are traces of imports; the last line of those says what there is to say.
        lines = [line.strip() for line in error.message.splitlines() if line.strip()]
        return None, lines[-1] if lines and "Traceback" in error.message else " ".join(lines)
