"""The Flask application around an env.py that asks for it, as `flask db` puts it there."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.records.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.project.project import Project

_loaded: dict[Path, tuple[Any, str]] = {}


def run_env(project: Project) -> None:
    """Run env.py as Alembic does, inside the application's context where it reads `current_app`. Raises Usage as that does."""
    with around(project):
        project.script.run_env()


@contextlib.contextmanager
def around(project: Project) -> Iterator[None]:
    """Stand in the context of the application that env.py asks for, if it does.

    It is looked for as the `flask` command looks for it: FLASK_APP, else wsgi.py or app.py of the directory that the process
    stands in; .env and .flaskenv are read, and take nothing's place. Raises Usage where env.py cannot do without it and it
    is not found.
    """
    application, missing = _application(project)
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


def _application(project: Project) -> tuple[Any, str]:
    """Give the application that env.py asks for, else why there is none; neither where it asks for none or has one."""
    if not _asks(project):
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


def _asks(project: Project) -> bool:
    try:
        text = Path(project.script.env_py_location).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "current_app" in text


def _load() -> tuple[Any, str]:
    click: Any = importlib.import_module("click")
    cli: Any = importlib.import_module("flask.cli")
    cli.load_dotenv()
    try:
        return cli.ScriptInfo(app_import_path=os.environ.get("FLASK_APP") or None).load_app(), ""
    except click.UsageError as error:
        # The others are traces of imports; the last line of those says what there is to say.
        lines = [line.strip() for line in error.message.splitlines() if line.strip()]
        return None, lines[-1] if lines and "Traceback" in error.message else " ".join(lines)
