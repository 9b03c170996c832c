"""Live traffic on the tracking server: traces with their assessments."""

from mlbaseline.store.live.traces import TraceTag, read_traces

__all__ = ["TraceTag", "read_traces"]
