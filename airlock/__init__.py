"""Run, trace, review, drill and write Alembic revisions on PostgreSQL, by observing the server."""
