"""Two systems, or one, on one set of examples: methods for a single difference or mean."""
