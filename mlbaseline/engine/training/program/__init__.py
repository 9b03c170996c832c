"""Trainings by a program of the user's: what it is given, how it is run, and what is kept of its output."""
