"""The state of a machine, a tracking server and a suite, and what killed processes left there."""
