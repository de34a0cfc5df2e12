"""What a downgrade takes away: learnt by running it in scratch, counted on the target before it is touched."""

from airlock.operations.downgrade.count import count
from airlock.operations.downgrade.recount import Counted

__all__ = ["Counted", "count"]
