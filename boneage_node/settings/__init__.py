"""Every setting of the node, once: its type, default and meaning, and where it comes from."""

from .loading import ALL_SETTINGS, SettingsError, load_log_settings, load_settings, unknown_variables
from .settings import ENVIRONMENT_PREFIX, Settings

__all__ = [
    "ALL_SETTINGS",
    "ENVIRONMENT_PREFIX",
    "Settings",
    "SettingsError",
    "load_log_settings",
    "load_settings",
    "unknown_variables",
]
