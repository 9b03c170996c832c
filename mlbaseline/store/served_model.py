"""The former place of `mlbaseline.serving.served`: the code inside models registered by version 0.1 imports it."""

from mlbaseline.serving.served import SERVED, Served, load_served

__all__ = ["SERVED", "Served", "load_served"]
