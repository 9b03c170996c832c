"""The baseline discipline for fine-tuned language models, built on MLflow."""

__version__ = "0.1.0"
