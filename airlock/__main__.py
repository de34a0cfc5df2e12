"""Let `python -m airlock` be the console script."""

from airlock.cli import entry

if __name__ == "__main__":
    entry()
