"""Models that MLflow serves: our own, packaged when they are evaluated, and any registered one as a rung."""

from mlbaseline.serving.package import package_model
from mlbaseline.serving.registered_models import PRODUCTION_VERSION, find_identity, find_registered
from mlbaseline.serving.scorers import find_scorer

__all__ = ["PRODUCTION_VERSION", "find_identity", "find_registered", "find_scorer", "package_model"]
