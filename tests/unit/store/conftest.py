"""Fixtures of the store: both engines."""

from support.store import clock, database_url, postgresql, postgresql_url, store

__all__ = ["clock", "database_url", "postgresql", "postgresql_url", "store"]
