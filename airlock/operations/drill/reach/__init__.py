"""Reach: which data statements of a step met rows, and which bodies of functions and triggers they entered."""
