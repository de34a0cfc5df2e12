"""Frozen dataclasses whose methods are made when the first of them is used.

`dataclass` compiles six functions for each class, half a millisecond: of the records of a run, most are of what seldom
happens. To a type checker, and once it is used, `record` is `dataclasses.dataclass`.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as record

    __all__ = ["record"]
else:

    def record(*, frozen: bool) -> Callable[[type], type]:
        """Make a frozen dataclass of a class that inherits none. Raises TypeError for one that is not to be frozen."""
        if not frozen:
            raise TypeError("a record is frozen")
        return _awaiting


# What `dataclass` makes; `__init__` last: as long as it is not there, no other thread has an instance.
_MADE = (
    "__dataclass_params__",
    "__dataclass_fields__",
    "__match_args__",
    "__repr__",
    "__eq__",
    "__hash__",
    "__init__",
)


def _awaiting(cls: type) -> type:
    """Let each of a class's methods make all of them; what the class itself defines stays."""
    for name in _MADE:
        if name not in cls.__dict__:
            setattr(cls, name, _Awaited(name))
    for name in ("__setattr__", "__delattr__"):
        setattr(cls, name, _refuse)
    return cls


_making = threading.RLock()


class _Awaited:
    """A method that is not made yet: whoever looks for it makes all of the class's."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        """Make them, and answer with this one."""
        with _making:
            # Another thread may have made them meanwhile.
            home = next((cls for cls in owner.__mro__ if cls.__dict__.get(self._name) is self), None)
            if home is not None:
                _make(home)
        return getattr(owner if instance is None else instance, self._name)


def _make(cls: type) -> None:
    """Have a twin made by `dataclass`, and take over what it was given: at no moment is the class half made."""
    own = {
        name: value
        for name, value in cls.__dict__.items()
        if not isinstance(value, _Awaited)
        and value is not _refuse
        and name not in {"__dict__", "__weakref__"}
    }
    twin: Any = dataclasses.dataclass(frozen=True)(type(cls)(cls.__name__, cls.__bases__, own))
    for name, value in own.items():
        if isinstance(value, dataclasses.Field):
            # Its default takes its place, as it does for `dataclass`.
            if name in twin.__dict__:
                setattr(cls, name, twin.__dict__[name])
            else:
                delattr(cls, name)
    for name in _MADE:
        if isinstance(cls.__dict__.get(name), _Awaited):
            setattr(cls, name, twin.__dict__[name])


def _refuse(self: object, name: str, *value: object) -> None:  # noqa: ARG001
    raise dataclasses.FrozenInstanceError(f"cannot {'assign to' if value else 'delete'} field {name!r}")
