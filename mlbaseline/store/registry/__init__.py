"""Versions of registered models: promotion, rollback, aliases, lineage."""
