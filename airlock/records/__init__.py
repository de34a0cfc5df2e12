"""Records, enums and errors with their exit codes; import nothing of airlock."""
