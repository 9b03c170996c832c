"""From a suite to completed evaluations: of its own rungs, and of answers that come from elsewhere."""
