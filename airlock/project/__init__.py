"""An Alembic project: its ini, its history, and runs of its env.py."""
