"""The phases of one revision's examination, and the row that they are called in."""
