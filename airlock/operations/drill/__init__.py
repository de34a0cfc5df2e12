"""Drill: prove in scratch databases that every revision can be undone, with rows in the tables."""

from airlock.operations.drill.parent import ROWS, drill

__all__ = ["ROWS", "drill"]
