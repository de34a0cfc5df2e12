"""Trace: run revisions in a scratch database and tell what PostgreSQL did for each of their statements."""

from airlock.acts.trace.act import trace
from airlock.acts.trace.observing import Catalogue

__all__ = ["Catalogue", "trace"]
