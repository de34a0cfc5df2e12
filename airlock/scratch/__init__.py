"""Scratch servers and databases, and the isolation of what runs in them."""
