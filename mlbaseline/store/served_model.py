"""The former place of `mlbaseline.serving.package`: the code inside models registered by version 0.1 imports it."""

from mlbaseline.serving.package import SERVED, Served, load_served

__all__ = ["SERVED", "Served", "load_served"]
