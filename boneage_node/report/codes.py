"""Every coded concept of the reports, once.

DCM, SCT, LN and UCUM are the coding schemes of DICOM PS3.16, RADELEMENT is the ACR's and RSNA's. DICOM's own
dictionaries have no concept for bone age; LOINC has. Meanings are kept short because viewers print them on
the image.
"""

from __future__ import annotations

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from boneage_node.bone_age import Agreement, Determination, Laterality

from .wording import CHILDREN

# The documents
IMAGING_MEASUREMENT_REPORT = codes.DCM.ImagingMeasurementReport
X_RAY_REPORT = codes.cid7000.XRayReport
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
# The one code for the procedure that all validators accept; PixelMed rejects LOINC's own for bone age.
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
DEVICE = codes.DCM.Device
# The same in FHIR, whose value set c80-doc-typecodes has this code and this name of it.
BONE_AGE_STUDY = Code("24724-7", "LN", "Wrist and Hand X-ray bone age")

# What was measured, and where (TID 1410)
BONE_AGE = Code("85151-9", "LN", "XR Bone age")
# What is read of a patient of unknown sex as a girl and as a boy (ACR/RSNA RadElement set RDES14). No program
# that looks for the bone age is to take one of the two for it, so they have another code.
SKELETAL_AGE = Code("RDE123", "RADELEMENT", "Skeletal age")
EQUIVALENT_MEANING = codes.DCM.EquivalentMeaningOfConceptName
MEAN = codes.SCT.Mean
HAND = Code("85562004", "SCT", "Hand")
LATERALITIES = {
    Laterality.LEFT: Code("7771000", "SCT", "Left"),
    Laterality.RIGHT: Code("24028007", "SCT", "Right"),
}
# Hand and side in one code, where there is no place for a modifier (FHIR).
HANDS = {
    Laterality.LEFT: Code("85151006", "SCT", "Structure of left hand"),
    Laterality.RIGHT: Code("78791008", "SCT", "Structure of right hand"),
}
GREULICH_AND_PYLE = Code("252956001", "SCT", "Greulich and Pyle bone age assessment")
# SNOMED CT and DICOM call these two by longer names, which OHIF would write beyond the edge of the window.
UNCERTAINTY = Code("371884006", "SCT", "Uncertainty +/-")
SUBJECT_AGE = codes.DCM.SubjectAge
Z_SCORE = Code("121416", "DCM", "Z-score")
# Probability, in DICOM's words: viewers print the meaning alone, so it says of what.
OUTSIDE_NORMAL = Code("122157", "DCM", "Outside 2 SD")

# What the numbers mean
DETERMINATION = Code("RDE1733", "RADELEMENT", "Determination")
DETERMINATIONS = {
    Determination.DELAYED: Code("RDE1733.0", "RADELEMENT", "Delayed"),
    Determination.NORMAL: Code("RDE1733.1", "RADELEMENT", "Normal"),
    Determination.ADVANCED: Code("RDE1733.2", "RADELEMENT", "Advanced"),
    Determination.INDETERMINATE: Code("RDE1733.3", "RADELEMENT", "Indeterminate"),
}
# No scheme has a concept for the agreement of networks: it is a standard of quality that a reading meets or
# not (CID 6044), and a comment says which.
AGREEMENT = codes.DCM.QualityAssessment
AGREEMENTS = {
    Agreement.USUAL: codes.cid6044.UsableMeetsTheQualityControlStandard,
    Agreement.LOW: codes.cid6044.UsableDoesNotMeetTheQualityControlStandard,
}

QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")

# Units
MONTH = Code("mo", "UCUM", "month")
# Viewers print the unit and no modifier: an annotation, which changes no unit, tells two readings apart.
MONTH_READ_AS = {
    sex: Code(f"mo{{{child}}}", "UCUM", f"month, read as a {child}") for sex, child in CHILDREN.items()
}
# An annotation, which UCUM takes for the unit 1: viewers print the unit, and "0.71 1" reads as a number.
STANDARD_DEVIATIONS = Code("{SD}", "UCUM", "standard deviations")
PERCENT = codes.UCUM.Percent

CONCLUSION = codes.DCM.Conclusion

# A refusal
FINDINGS = codes.cid7001.Findings
SUMMARY = codes.DCM.Summary
FINDING = codes.DCM.Finding
COMMENT = codes.DCM.Comment
SUMMARY_OF_ANALYSES = codes.DCM.SummaryOfAnalyses
FAILED = codes.DCM.Failed
SOURCE = Code("260753009", "SCT", "Source")
