"""Floor 1: what observes and drives PostgreSQL and Alembic; imports only words."""
