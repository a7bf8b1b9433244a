"""A DICOM node that reads the bone age from radiographs of children's hands.

For arrays, without a node: ``load`` and ``assess`` of `boneage_node.bone_age`.
"""

__version__ = "0.2.0"
