"""Take a database to a revision, up or down: the lease, one transaction per revision, retries, one verdict."""

from airlock.operations.upgrade.run import migrate

__all__ = ["migrate"]
