"""Fixtures of the store: both engines."""

from store_help import clock, database_url, postgresql, postgresql_url, store

__all__ = ["clock", "database_url", "postgresql", "postgresql_url", "store"]
