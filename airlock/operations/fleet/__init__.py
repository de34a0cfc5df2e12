"""Many targets: each migrated as one is, in waves and side by side, with a journal that a kill does not end."""

from airlock.operations.fleet.run import migrate_all
from airlock.operations.fleet.targets import FleetTarget, read_targets

__all__ = ["FleetTarget", "migrate_all", "read_targets"]
