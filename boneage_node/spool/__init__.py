"""Received and written files, by handle."""

from .folder import FolderSpool
from .spool import Spool, SpoolFull

__all__ = ["FolderSpool", "Spool", "SpoolFull"]
