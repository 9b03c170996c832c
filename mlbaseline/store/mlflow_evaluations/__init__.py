"""Evaluations that MLflow runs: what they left behind, and the rows of those that our evaluator took part in."""
