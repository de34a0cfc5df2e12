"""Take a database to a revision, up or down: the lease, one transaction per revision, retries, one verdict."""

from airlock.acts.upgrade.run import migrate

__all__ = ["migrate"]
