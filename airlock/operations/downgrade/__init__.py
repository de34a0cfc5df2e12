"""What a downgrade takes away: learnt by running it in scratch, counted on the target before it is touched."""

from airlock.operations.downgrade.count import Rehearsal, count, count_on, rehearsed
from airlock.operations.downgrade.recount import Counted

__all__ = ["Counted", "Rehearsal", "count", "count_on", "rehearsed"]
