"""What a report shows by slice."""
