"""Prints the statement, for ``docs/conformance.md``."""

from . import conformance_markdown

print(conformance_markdown(), end="")
