"""PostgreSQL's catalogue: fingerprints, structures, diagrams, and how they differ."""
