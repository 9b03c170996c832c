"""Plots of the report: what they show (a file each), drawn as SVG or with characters."""
