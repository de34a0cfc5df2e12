"""What the commands do; return records."""
