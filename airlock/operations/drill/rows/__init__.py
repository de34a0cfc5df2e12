"""Rows that a revision's statements and demands want: chosen, made, fitted to a cast, taken out at an edge."""
