"""Addresses, listening, TLS and HTTP: what a connection needs before any protocol is spoken over it."""
