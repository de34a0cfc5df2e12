"""Trace: run revisions in a scratch database and tell what PostgreSQL did for each of their statements."""

from airlock.operations.trace.messages import Catalogue
from airlock.operations.trace.parent import trace

__all__ = ["Catalogue", "trace"]
