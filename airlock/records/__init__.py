"""Records, enums and errors with their exit codes; import nothing of airlock.

Records are dataclasses whose methods are made when the first of them is called.
The standard library writes and compiles five to ten methods for each class as its module is loaded: half of what
airlock's modules cost, and of most classes no object is ever made in a run. Fields are known at once, so that
`dataclasses.fields` and `replace` tell what they tell of any other. One that inherits from another has its methods at once.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, **options: bool) -> Any:
        """Make a class a dataclass, as the decorator of that name does (eq, frozen, order, repr, slots)."""
        return _later(cls, options) if cls is not None else lambda made: _later(made, options)


_ORDER = ("__lt__", "__le__", "__gt__", "__ge__")
_AT_ONCE: dict[str, Any] = {"init": False, "repr": False, "eq": False}
_made = threading.RLock()


def _later(cls: type, options: dict[str, bool]) -> Any:
    if any(dataclasses.is_dataclass(one) for one in cls.__mro__):
        return dataclasses.dataclass(**options)(cls)
    own = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    slots, frozen = options.get("slots", False), options.get("frozen", False)
    if cls.__doc__ is None:
        # Else the standard library spells the arguments of __init__ there, which takes longer than all the rest.
        cls.__doc__ = own["__doc__"] = cls.__name__
    made: Any = dataclasses.dataclass(**_AT_ONCE, slots=slots)(cls)
    # Which classes may inherit from it goes by this.
    made.__dataclass_params__.frozen = frozen
    for name in _names(own, options):
        setattr(made, name, _first_call(made, name, own, options))
    if options.get("eq", True) and not frozen and "__hash__" not in own:
        made.__hash__ = None
    if frozen:
        made.__setattr__, made.__delattr__ = _no_assignment, _no_deletion
    if frozen and slots:
        made.__getstate__, made.__setstate__ = _state, _set_state
    return made


def _names(own: dict[str, Any], options: dict[str, bool]) -> list[str]:
    """List the methods that the class gets, beside those it has."""
    names = ["__init__"]
    names += ["__repr__"] if options.get("repr", True) else []
    names += ["__eq__"] if options.get("eq", True) else []
    names += _ORDER if options.get("order", False) else []
    # With __eq__ in its body Python itself has put None there.
    given = own.get("__hash__") is not None
    hashed = options.get("eq", True) and options.get("frozen", False) and not given
    return [*(name for name in names if name not in own), *(["__hash__"] if hashed else [])]


def _first_call(cls: type, name: str, own: dict[str, Any], options: dict[str, bool]) -> Callable[..., Any]:
    def first(*arguments: Any, **named: Any) -> Any:
        with _made:
            if vars(cls)[name] is first:
                # A class of the same body gets them from the standard library; nothing in them speaks of that class.
                given = {name: value for name, value in options.items() if name != "slots"}
                whole: Any = type(cls)(cls.__name__, cls.__bases__, {**own, "__qualname__": cls.__qualname__})
                dataclasses.dataclass(**given)(whole)
                for one in _names(own, options):
                    setattr(cls, one, vars(whole)[one])
        return vars(cls)[name](*arguments, **named)

    return first


def _no_assignment(_: object, name: str, __: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _no_deletion(_: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(one: Any) -> list[Any]:
    return [getattr(one, field.name) for field in dataclasses.fields(one)]


def _set_state(one: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(one), state, strict=True):
        object.__setattr__(one, field.name, value)
