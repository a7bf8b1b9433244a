"""Received and written files, by handle."""
