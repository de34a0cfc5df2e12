"""Floor 2: the acts of the command line; import instruments and words, return records."""
