"""Metrics of a whole corpus, from sufficient statistics per example."""
