"""The names that models and history share. Imports nothing heavy: every migration run reads this file."""

SCHEMA = "phase2"

# Every constraint has a name of its own, so that a revision can drop what an earlier one made. A CHECK is
# named where it is written: `%(constraint_name)s` makes an unnamed one an error at import.
NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
