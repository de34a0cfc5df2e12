"""Airlock as it is installed: other versions, other drivers, projects laid out otherwise."""
