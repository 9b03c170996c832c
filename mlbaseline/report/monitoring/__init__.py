"""Pages of decisions about live traffic: the decision and why first, then the evidence over time."""
