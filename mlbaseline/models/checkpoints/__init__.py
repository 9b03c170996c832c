"""Transformers checkpoints: loading them, adapters on them, quantised weights, several devices."""
