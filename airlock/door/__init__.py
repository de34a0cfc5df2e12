"""Floor 4: one module a command: its arguments, its run, its exit code."""
