"""Structured reports (DICOM SR)."""
