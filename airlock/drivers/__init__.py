"""What differs between the drivers, a package each; what they have in common beside them. Imports records."""

# In the order in which airlock takes one for itself.
DRIVERS = ("psycopg2", "psycopg", "asyncpg")
