"""A revision as text: Alembic's operations, their types and imports, its docstring, its file."""
