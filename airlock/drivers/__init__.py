"""What differs between psycopg2, psycopg and asyncpg; imports records."""
