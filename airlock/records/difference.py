"""What two readings of a catalogue, or of the rows, disagree on."""

from __future__ import annotations

from airlock.records import dataclass

# A table rebuilt column by column holds the same columns in another order; no statement that names its
# columns can tell. Reported, never refused.
NOTE_KINDS = frozenset({"column order"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One object, or one attribute of it, that is not what it was.

    `object` is a schema-qualified name, `kind` what differs in words ("column", "column default"), `before` and
    `after` its text, None where it was or is not there.
    """

    object: str
    kind: str
    before: str | None
    after: str | None

    def __lt__(self, other: Difference) -> bool:
        """Stand before another by name; None, which has no order of its own, before any text."""
        return _in_order(self) < _in_order(other)

    @property
    def is_note(self) -> bool:
        """Tell whether this is worth saying and no reason to refuse."""
        return self.kind in NOTE_KINDS


def _in_order(one: Difference) -> tuple[str, str, str, str]:
    return one.object, one.kind, one.before or "", one.after or ""
