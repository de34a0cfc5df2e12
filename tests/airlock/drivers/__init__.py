"""Airlock's own connections, by every driver."""
