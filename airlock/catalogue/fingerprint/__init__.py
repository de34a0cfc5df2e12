"""PostgreSQL's catalogue as text: what pg_dump would show, and what it would not.

    before = fingerprint.read(connection)
    ...
    for difference in fingerprint.differences(before, fingerprint.read(connection)): ...

No oids, sorted, independent of the session's search_path and formats: two readings of databases that hold
the same objects are equal, whoever read them.
"""

from airlock.catalogue.fingerprint.compare import differences
from airlock.catalogue.fingerprint.model import CatalogueObject, Fingerprint
from airlock.catalogue.fingerprint.reader import Reader, read

__all__ = ["CatalogueObject", "Fingerprint", "Reader", "differences", "read"]
