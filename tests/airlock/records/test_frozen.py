"""Records are dataclasses, whoever asks first and for whatever."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from airlock.records.frozen import record


def made() -> Any:
    """Make a new class, of which nothing has been used."""

    @record(frozen=True)
    class Said:
        """What was said."""

        event: ClassVar[str] = "said"
        text: str
        times: int = 1
        to: list[str] = dataclasses.field(default_factory=list, compare=False)
        by: str = dataclasses.field(default="nobody")

    return Said


ASKED: dict[str, Callable[[Any], object]] = {
    "fields": lambda cls: [one.name for one in dataclasses.fields(cls)] == ["text", "times", "to", "by"],
    "is_dataclass": dataclasses.is_dataclass,
    "match_args": lambda cls: cls.__match_args__ == ("text", "times", "to", "by"),
    "signature": lambda cls: list(inspect.signature(cls).parameters) == ["text", "times", "to", "by"],
    "repr": lambda cls: repr(cls("a")).endswith("Said(text='a', times=1, to=[], by='nobody')"),
    "eq": lambda cls: cls("a", to=["b"]) == cls("a") != cls("b"),
    "hash": lambda cls: len({cls("a"), cls("a"), cls("b")}) == 2,
    "replace": lambda cls: dataclasses.replace(cls("a"), times=2) == cls("a", 2),
    "asdict": lambda cls: dataclasses.asdict(cls("a")) == {"text": "a", "times": 1, "to": [], "by": "nobody"},
}


@pytest.mark.parametrize("asked", ASKED)
def test_whatever_is_asked_first_is_answered_as_of_a_dataclass(asked: str) -> None:
    """Afterwards the class is one, its defaults where a dataclass has them."""
    cls = made()
    assert ASKED[asked](cls)
    one = cls("a")
    assert (one.times, one.to, cls.by, hasattr(cls, "to"), cls.__name__) == (1, [], "nobody", False, "Said")
    with pytest.raises(dataclasses.FrozenInstanceError, match="times"):
        one.times = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="text"):
        del one.text


def test_a_copy_that_was_pickled_elsewhere_is_whole_where_no_other_is() -> None:
    """What a process is sent is made without its `__init__`."""
    from airlock.records.upgrade import Loss

    sent = pickle.dumps(Loss("t", 1, "gone"))
    assert pickle.loads(sent) == Loss("t", 1, "gone")  # noqa: S301  made a line above
    cls = made()
    one = cls.__new__(cls)
    one.__dict__.update(text="a", times=1, to=[], by="b")
    assert (repr(one).partition("Said")[2], hash(one) == hash(cls("a", by="b"))) == (
        "(text='a', times=1, to=[], by='b')",
        True,
    )


def test_threads_that_make_their_first_at_once_all_get_one() -> None:
    """The class is never half made."""
    for _ in range(50):
        cls = made()
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            assert list(threads.map(cls, "abcd", range(4))) == [
                cls(text, times) for times, text in enumerate("abcd")
            ]
