"""What all databases of a server share and a history names: scratch makes what is missing of it."""

from __future__ import annotations

from airlock.records import dataclass

ROLE = "role"
TABLESPACE = "tablespace"


@dataclass(frozen=True, order=True)
class Shared:
    """A role or a tablespace, by `kind`."""

    kind: str
    name: str

    @property
    def label(self) -> str:
        """Name it for people."""
        return f"the {self.kind} {self.name}"

    @property
    def beyond_help(self) -> str:
        """Say that a scratch server cannot be given it, and what helps."""
        if self.kind == TABLESPACE:
            return f"{self.label} is not on the scratch server: CREATE TABLESPACE there, or --scratch embedded, which makes it"
        return f"{self.label} cannot be made on the scratch server; try --scratch URL"
