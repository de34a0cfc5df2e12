"""Which environment variables, or sections of its ini, the project's code wants and does not find, told from what it raised."""

from __future__ import annotations

import os
import traceback
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from airlock.records.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_DRIVERS = ("psycopg2", "psycopg", "asyncpg")


class MissingSetting(Usage):
    """What the project wants of the place where it runs is not there, or not what it takes: no server can help."""


def missing_setting(error: BaseException) -> MissingSetting | None:
    """Name the variables that a lookup in os.environ, or a settings class of pydantic, has found missing or wrong.

    So is the section named that logging's fileConfig wants of an ini without any.
    None where the error is about anything else. Quotes no value: it may be the password.
    """
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, ModuleNotFoundError):
        return _missing_driver(error, frames)
    if isinstance(error, KeyError) and frames and frames[-1][0].f_globals.get("__name__") == "os":
        name = str(error.args[0]) if error.args else ""
        return _told(f"{_place(frames)} wants the environment variable {name}", (name,)) if name else None
    if (section := _missing_section(error, frames)) is not None:
        return section
    if type(error).__name__ != "ValidationError" or not type(error).__module__.startswith("pydantic"):
        return None
    settings = next((one for frame, _ in frames for one in _settings(frame)), None)
    if settings is None:
        return None
    missing, wrong = [], []
    found: Any = error
    for one in found.errors():
        name = _variable(settings, str(one["loc"][0]) if one["loc"] else "")
        if one["type"] == "missing":
            missing.append(name)
        else:
            wrong.append(f"{name}: {one['msg']}" if name else str(one["msg"]))
    said = [f"wants the environment variable{'s' if missing[1:] else ''} {', '.join(missing)}"] * bool(
        missing
    )
    said += [f"does not take {'; '.join(wrong)}"] * bool(wrong)
    return _told(f"{type(settings).__name__} ({_place(frames)}) {' and '.join(said)}", missing)


def _missing_section(error: BaseException, frames: list[tuple[FrameType, int]]) -> MissingSetting | None:
    """Say which section fileConfig wants, as it reads it out of the ini; None for any other error."""
    calls = [
        frame for frame, _ in frames
        if frame.f_globals.get("__name__") == "logging.config" and frame.f_code.co_name == "fileConfig"
    ]  # fmt: skip
    if not calls or not isinstance(error, KeyError):
        return None
    file = calls[-1].f_locals.get("fname")
    ini = Path(file).name if isinstance(file, (str, os.PathLike)) else "the ini"
    return MissingSetting(
        f"{_place(frames)} sets up logging by fileConfig, and {ini} has no section [{error.args[0]}].",
        then="there what `alembic init` writes of [loggers], [handlers] and [formatters]",
    )


def _missing_driver(error: ModuleNotFoundError, frames: list[tuple[FrameType, int]]) -> MissingSetting | None:
    """Say which driver a URL has asked SQLAlchemy for, and which is there; None for any other module."""
    asker = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    if error.name not in _DRIVERS or not asker.startswith("sqlalchemy."):
        return None
    there = [name for name in _DRIVERS if find_spec(name)]
    usual = make_url("postgresql://").get_dialect().driver
    said = f"env.py's URL asks SQLAlchemy for the driver {error.name}"
    if usual == error.name:
        said += f" (so does postgresql:// without a driver, in SQLAlchemy {version('sqlalchemy')})"
    spelled = [f"postgresql+{name}:// where env.py has its URL from" for name in there[:1]]
    return MissingSetting(
        f"{said}; installed is {' and '.join(there) or 'none'}.",
        then=" or ".join([*spelled, f"pip install {error.name}"]),
    )


def _told(said: str, names: tuple[str, ...] | list[str]) -> MissingSetting:
    given = " ".join(f"--env {name}=VALUE" for name in names)
    then = f"{given}, or set {'them' if names[1:] else 'it'} where airlock runs" if names else ""
    return MissingSetting(f"{said.rstrip('.')}.", then=then)


def _settings(frame: FrameType) -> Iterator[Any]:
    """Find the settings that are being made in a frame: pydantic calls itself by no name of a field."""
    for name in ("__pydantic_self__", "self"):
        one = frame.f_locals.get(name)
        if "env_prefix" in (getattr(type(one), "model_config", None) or ()):
            yield one


def _variable(settings: Any, name: str) -> str:
    """Spell the variable of a field; an alias is the variable's name itself."""
    options = type(settings).model_config
    variable = f"{options['env_prefix']}{name}" if name in type(settings).model_fields else name
    return variable if options.get("case_sensitive") else variable.upper()


def _place(frames: list[tuple[FrameType, int]]) -> str:
    """Name file and line of the project's own code that asked: the innermost that no library holds."""
    library = Path(os.__file__).parent
    for frame, line in reversed(frames):
        path = Path(frame.f_code.co_filename)
        if (
            library not in path.parents
            and "site-packages" not in path.parts
            and not path.name.startswith("<")
        ):
            return f"{path.name}:{line}"
    return "env.py"
