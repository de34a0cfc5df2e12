"""What changed, by kind of object, as statements in the form that blocks nobody."""
