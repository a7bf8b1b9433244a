"""A temporary node and a small PACS on loopback, for replaying studies."""
