"""From completed evaluations to a comparison, and what is read from one."""
