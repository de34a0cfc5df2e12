"""One module a command: its options, its run, its exit code. Only here and in cli.py is anything printed."""
