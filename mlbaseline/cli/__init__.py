"""The command line: parse, call one workflow, print, exit code. Nothing is decided here."""

from mlbaseline.cli.entry_point import cli, main

__all__ = ["cli", "main"]
