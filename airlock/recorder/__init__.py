"""Watch statements from PostgreSQL's side: locks, rewrites and scans of each, whatever sent it."""

from airlock.recorder.core import Recorder
from airlock.recorder.interception import flush, installed, tap

__all__ = ["Recorder", "flush", "installed", "tap"]
