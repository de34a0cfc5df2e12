"""Floor 3: records to strings; no database."""
