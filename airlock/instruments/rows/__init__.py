"""Rows: made by the server from its own catalogue, told apart by digests, copied as another client would write.

for table in rows.fill(connection, 1000): ...          # sample rows, and why a table has fewer
"""

from airlock.instruments.rows.fill import fill
from airlock.instruments.rows.tables import Table, read_tables

__all__ = ["Table", "fill", "read_tables"]
