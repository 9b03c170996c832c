"""Power, sample size and what more examples would decide."""
