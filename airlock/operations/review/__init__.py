"""Review: gather everything a DBA needs to say yes or no, and the answer that follows from it."""

from airlock.operations.review.gather import review

__all__ = ["review"]
