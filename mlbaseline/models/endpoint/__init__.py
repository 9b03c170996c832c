"""A model that answers over HTTP."""

from mlbaseline.models.endpoint.api_keys import read_key
from mlbaseline.models.endpoint.model import EndpointModel

__all__ = ["EndpointModel", "read_key"]
