"""Watch statements from PostgreSQL's side: locks, rewrites and scans of each, whatever sent it."""

from airlock.instruments.recorder.core import Recorder
from airlock.instruments.recorder.taps import flush, installed, tap

__all__ = ["Recorder", "flush", "installed", "tap"]
