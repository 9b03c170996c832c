"""Sections of the report: each file builds one from a `Presenter`, as text, tables and plots."""
