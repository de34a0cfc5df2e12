"""What the columns of one table need."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.operations.revision.parts import Part
    from airlock.records.revision import Likely, Remark


@dataclasses.dataclass
class Changes:
    """What the columns of one table need; and what that already does to constraints and indexes.

    `with_column`: live constraints and indexes that go (and come back) with a dropped column. `settled`: names of
    constraints and indexes that are dealt with here. `checks_again`: CHECKs that an ALTER TYPE dropped and added NOT
    VALID. `respelt`: live index bodies as they read after the change.
    """

    parts: list[Part] = dataclasses.field(default_factory=list)
    remarks: list[Remark] = dataclasses.field(default_factory=list)
    likely: list[Likely] = dataclasses.field(default_factory=list)
    settled: set[str] = dataclasses.field(default_factory=set)
    respelt: dict[str, str] = dataclasses.field(default_factory=dict)
