"""Names of this implementation to DICOM peers and in DICOM files (PS3.7 D.3.3.2, PS3.10 7.1)."""

from . import __version__

# A random UID (PS3.5 B.2), never to be changed.
IMPLEMENTATION_CLASS_UID = "2.25.258728805515916908389113354795348325262"
IMPLEMENTATION_VERSION_NAME = f"BONEAGE_{__version__}"[:16]
