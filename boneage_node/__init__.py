"""A DICOM node that reads the bone age from radiographs of children's hands."""

__version__ = "0.2.0"
