"""Drill: prove in scratch databases that every revision can be undone, with rows in the tables."""

from airlock.acts.drill.act import ROWS, drill

__all__ = ["ROWS", "drill"]
