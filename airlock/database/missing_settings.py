"""Which environment variables the project's own code wants and does not find, told from what it raised."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.records.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class MissingSetting(Usage):
    """What the project reads from its environment is not there, or is not what it takes: no server can help."""


def missing_setting(error: BaseException) -> MissingSetting | None:
    """Name the variables that a lookup in os.environ, or a settings class of pydantic, has found missing or wrong.

    None where the error is about anything else. Quotes no value: it may be the password.
    """
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, KeyError) and frames and frames[-1][0].f_globals.get("__name__") == "os":
        name = str(error.args[0]) if error.args else ""
        return _told(f"{_place(frames)} wants the environment variable {name}", (name,)) if name else None
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
