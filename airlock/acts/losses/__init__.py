"""What a downgrade takes away: learnt by running it in scratch, counted on the target before it is touched."""

from airlock.acts.losses.act import count
from airlock.acts.losses.recount import Counted

__all__ = ["Counted", "count"]
