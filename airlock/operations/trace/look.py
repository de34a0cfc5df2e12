"""One look at a whole catalogue, at either end of what is traced."""

from __future__ import annotations

from typing import Any

from airlock.catalogue import diagram, fingerprint


class Look:
    """One reading of the whole catalogue."""

    def __init__(self, connection: Any) -> None:
        self.fingerprint = fingerprint.read(connection)
        self.diagram = diagram.read(connection)
