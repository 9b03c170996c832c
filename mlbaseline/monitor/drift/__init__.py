"""Drift: the champion's loss on live traffic against its recorded one, slice by slice."""
