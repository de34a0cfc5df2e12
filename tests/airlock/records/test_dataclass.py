"""Dataclasses whose methods come later are what the standard library makes of the same body."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from airlock import records

KINDS: tuple[dict[str, bool], ...] = (
    {}, {"slots": True}, {"frozen": True}, {"frozen": True, "slots": True}, {"frozen": True, "order": True, "slots": True},
    {"eq": False, "repr": False},
)  # fmt: skip


def made(decorator: Callable[..., Any], options: dict[str, bool]) -> tuple[Any, Any]:
    """Make a class and one that inherits from it."""

    @decorator(**options)
    class Base:
        name: str
        size: int = 3
        hidden: list[int] = dataclasses.field(default_factory=list, compare=False, repr=False)

        def __post_init__(self) -> None:
            if not self.size:
                raise ValueError("size")

        @property
        def double(self) -> int:
            return self.size * 2

    @decorator(**options)
    class Below(Base):
        more: str = "m"

        def __repr__(self) -> str:
            return "mine"

    return Base, Below


def tried(act: Callable[[], object]) -> object:
    """Give what an act gives, or what it raises."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001
        return type(error), str(error).partition(".")[2] or str(error)


def seen(base: Any, below: Any) -> list[object]:
    """Tell all that can be seen of two classes."""
    one, same, other, late = base("a"), base(name="a", hidden=[1]), base("b", 2), below("a", 4, more="x")
    acts: list[Callable[[], object]] = [
        lambda: (one == same, one == other, one == late, one != same), lambda: hash(one) == hash(same), lambda: one < other,
        lambda: other >= one, lambda: late.__repr__(), lambda: "name='a', size=3)" in repr(one),
        lambda: setattr(one, "size", 9), lambda: delattr(other, "size"), lambda: one.size,
        lambda: dataclasses.replace(late, name="z").name, lambda: dataclasses.asdict(late), lambda: base(), lambda: base("a", 0),
        lambda: base("a", bad=1), lambda: late.double, lambda: [field.name for field in dataclasses.fields(below)],
        lambda: base.__match_args__, lambda: base.__hash__ is None, lambda: hasattr(one, "__dict__"),
        lambda: dataclasses.astuple(copy.deepcopy(late)), lambda: copy.copy(one) == one,
    ]  # fmt: skip
    return [tried(act) for act in acts]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_they_are_what_the_standard_library_makes(options: dict[str, bool]) -> None:
    """Made, compared, ordered, spelled, changed, inherited from, copied; refused in the same words."""
    later = made(records.dataclass, options)
    assert seen(*later) == seen(*made(dataclasses.dataclass, options))


@records.dataclass(frozen=True, slots=True)
class Sent:
    """Sent to another process."""

    name: str


def test_one_that_arrives_before_any_was_made_is_as_frozen_and_as_equal() -> None:
    """Pickles make objects without __init__."""
    there = Sent.__new__(Sent)
    object.__setattr__(there, "name", "a")
    here = pickle.loads(pickle.dumps(there))  # noqa: S301
    with pytest.raises(dataclasses.FrozenInstanceError):
        here.name = "b"
    assert here == there == Sent("a")
    assert hash(here) == hash(Sent("a"))
