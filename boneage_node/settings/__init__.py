"""Every setting of the node, once: its type, default and meaning, and where it comes from."""

from .loading import SettingsError, load_settings, unknown_variables
from .settings import ENVIRONMENT_PREFIX, Settings

__all__ = [
    "ENVIRONMENT_PREFIX",
    "Settings",
    "SettingsError",
    "load_settings",
    "unknown_variables",
]
