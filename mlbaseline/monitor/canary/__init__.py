"""The canary: a candidate on a share of the live traffic, and decisions that are valid at any look."""
