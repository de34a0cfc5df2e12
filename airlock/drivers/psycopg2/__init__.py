"""What is particular to psycopg2: airlock's own connections, how statements sent by it are seen, how it connects."""
