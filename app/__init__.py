"""What is migrated: the models, the settings, the database sessions and, above them, data access and API."""
