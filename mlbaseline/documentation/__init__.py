"""The documentation: where it is published, and the texts that explain a code without it."""

from mlbaseline.documentation.addresses import DOCUMENTATION_URL, documentation_url
from mlbaseline.documentation.explanations import Explanation, explanations, finding_url

__all__ = ["DOCUMENTATION_URL", "Explanation", "documentation_url", "explanations", "finding_url"]
