"""A model that answers over HTTP."""

from mlbaseline.models.endpoint.model import EndpointModel, read_key

__all__ = ["EndpointModel", "read_key"]
