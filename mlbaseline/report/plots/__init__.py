"""Plots of the report: what they show (`plot_types`), drawn as SVG or with characters."""
