"""FHIR R4 as a client: Bundles to a server or into a folder. Knows HTTP and files, no DICOM, no database."""
