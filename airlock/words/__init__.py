"""Floor 0: errors, records and lock modes; imports nothing of airlock."""
