"""`python -m mlbaseline`."""

from mlbaseline.cli import main

main()
