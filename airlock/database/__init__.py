"""A target: its URL, connections, errors, lease, observer and version rows."""
