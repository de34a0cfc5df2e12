"""What is particular to asyncpg: airlock's own connections, how statements sent by it are seen, how it connects."""
