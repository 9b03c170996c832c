"""Rows, examples and answers in Arrow tables, the large ones in files."""
