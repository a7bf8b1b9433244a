"""DICOMweb (PS3.18): the node as a user agent. Knows HTTP and files, no pixels, no models, no database."""
