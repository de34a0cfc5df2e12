"""The structure of a few schemas as PostgreSQL would spell it again: what a revision needs in order to write it.

The fingerprint says that two catalogues differ; this reading holds what the difference is written from. Names
of the schemas that were asked for are replaced by what the caller wants to see in their place, so that a schema
and its shadow can be compared and either be spelt as the other. Reads the catalogue only.
"""

from airlock.catalogue.structure.leaning import FOLLOWING, VIEWS, Leaning, leaning
from airlock.catalogue.structure.model import Column, Constraint, Domain, Index, Sequence, Structure, Table
from airlock.catalogue.structure.names import in_tablespace, listed, quoted
from airlock.catalogue.structure.reading import read
from airlock.catalogue.structure.refusing import refusing

__all__ = [
    "FOLLOWING", "VIEWS", "Column", "Constraint", "Domain", "Index", "Leaning", "Sequence", "Structure", "Table",
    "in_tablespace", "leaning", "listed", "quoted",
    "read", "refusing",
]  # fmt: skip
