"""Revise: write what leads the history to the models, in the form that blocks nobody."""

from airlock.operations.revision.directives import compare, process_revision_directives

__all__ = ["compare", "process_revision_directives"]
