"""What every tap does around a statement: tell the recorder before, after, and of failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airlock.recorder.core import Recorder, Running


def reports(factory: Any, marker: type) -> bool:
    """Tell whether a cursor class reports already."""
    return isinstance(factory, type) and issubclass(factory, marker)


def around(recorder: Recorder, running: Running | None, run: Callable[[], Any], cursor: Any) -> Any:
    """Run a statement between the start and the end of its record."""
    try:
        result = run()
    except BaseException:
        fail(recorder, running)
        raise
    finish(recorder, running, cursor)
    return result


def finish(recorder: Recorder, running: Running | None, cursor: Any) -> None:
    """Finish a record from what the cursor knows."""
    if running is not None:
        rows = cursor.rowcount if isinstance(cursor.rowcount, int) else 0
        recorder.after(running, rows=rows, returns_rows=cursor.description is not None)


def fail(recorder: Recorder, running: Running | None) -> None:
    """Give a record up."""
    if running is not None:
        recorder.failed(running)


def text_of(query: Any) -> str:
    """Read a query as text."""
    return query.decode(errors="replace") if isinstance(query, bytes) else str(query)
