"""What a suite file may get wrong beyond the types of its keys: every check yields its problems."""
