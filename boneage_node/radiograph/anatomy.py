"""Body part and view, from a header's words and codes."""

from __future__ import annotations

import re
from enum import Enum, StrEnum

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from .dataset import Attributes


class BodyPart(StrEnum):
    """Body part by the header."""

    HAND = "hand"
    WRIST = "wrist"
    """A hand radiograph is often filed under its wrist; whether the fingers are there, the image shows."""
    UNSTATED = "unstated"
    """Nothing, nothing specific ("extremity"), or a word or code that is in no table: the image decides."""
    OTHER = "other"


class View(Enum):
    """The projection that the header states; the lower, the better for a bone age."""

    POSTERO_ANTERIOR = 0
    ANTERO_POSTERIOR = 1
    UNSTATED = 2
    NOT_FRONTAL = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Body Part Examined is a code string with the terms of PS3.16 Annex L; devices write local words too.
_HAND_WORDS = _words("HAND HANDS LHAND RHAND BONEAGE HAENDE HÄNDE MANO MANOS MAIN MAINS MÃO MAO")
_WRIST_WORDS = _words("WRIST WRISTS CARPUS HANDGELENK POIGNET POLSO MUÑECA MUNECA PUNHO")
_OTHER_WORDS = _words(
    # PS3.16 Annex L and the qualifiers of its terms that name a part on their own.
    """
    ABDOMEN ABDOMENPELVIS ACETABULUM ACJOINT ANKLE ANUS AORTA ARM AXILLA BACK BILEDUCT BLADDER BRAIN BREAST
    BRONCHUS BUTTOCK CALCANEUS CALF CAROTID CEREBELLUM CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX
    COLON CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EYE EYELID FACE FEMUR FIBULA FINGER FINGERS FOOT FOREARM
    FOREFOOT GALLBLADDER HEAD HEADNECK HEART HEEL HIP HIPS HUMERUS ILEUM ILIUM INDEX JAW JAWREGION JEJUNUM
    KIDNEY KNEE KNEES LARYNX LEG LIVER LSPINE LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH NASAL NECK
    NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV NOSE OPTICCANAL ORBIT PANCREAS PAROTID PATELLA PELVIS PENIS
    PHARYNX PROSTATE RADIUS RECTUM RIB RIBS SACRUM SCAPULA SCLERA SCROTUM SELLA SHOULDER SIJOINT SINUS SKULL
    SPINE SPLEEN SSPINE STERNUM STOMACH TARSUS TEETH TESTIS THIGH THORAX THUMB THYMUS THYROID TIBIA TLSPINE
    TMJ TOE TOES TONGUE TOOTH TRACHEA TSPINE ULNA URETER URETHRA UTERUS VAGINA VULVA WHOLESPINE ZYGOMA
    CERVICAL LUMBAR THORACIC DENTAL PANORAMIC
    """
)

# PS3.16 CID 4031 Common Anatomic Region. SNOMED's older identifiers (SRT) compare equal to these.
_REGIONS = codes.CID4031.concepts
_HAND_CODES = [_REGIONS["Hand"], codes.SCT.HandBone]
_WRIST_CODES = [_REGIONS["WristJoint"], Code("8205005", "SCT", "Wrist")]
_UNSPECIFIC_CODES = [
    _REGIONS[name]
    for name in ("Extremity", "UpperLimb", "BoneOfUpperLimb", "MuscleOfUpperLimb", "EntireBody")
]
_OTHER_CODES = [
    code for code in _REGIONS.values() if code not in [*_HAND_CODES, *_WRIST_CODES, *_UNSPECIFIC_CODES]
]

_PA_WORDS = frozenset({"PA", "DP", "PAV"})
_AP_WORDS = frozenset({"AP", "PD"})
_NOT_FRONTAL_WORDS = _words(
    """
    LL RL LAT LATERAL LATERALS LLD RLD RLO LLO LAO RAO LPO RPO OBL OBLIQUE ML LM MLO LMO AXIAL TANGENTIAL
    """
)
# PS3.16 CID 4010 DX View.
_VIEWS = codes.CID4010.concepts
_PA_CODES = [_VIEWS["PosteroAnterior"]]
_AP_CODES = [_VIEWS["AnteroPosterior"]]
_NOT_FRONTAL_CODES = [
    code
    for name, code in _VIEWS.items()
    if any(word in name for word in ("Lateral", "Oblique", "Axial", "Sagittal", "Tangential"))
]

_HAND_TEXT = re.compile(
    r"\b(hands?|bone[ _-]?age|greulich|knochenalter|handwurzel|hände|age osseux|âge osseux)\b",
    re.IGNORECASE,
)


def read_body_part(attributes: Attributes) -> BodyPart:
    """The body part by AnatomicRegionSequence and BodyPartExamined together.

    A hand in either of them is a hand: devices leave a default in one and set the other. Where they
    contradict each other, the image decides. Where both are silent, the exam that was chosen at the device
    (AcquisitionDeviceProcessingDescription) is asked.
    """
    said = {_region(attributes), _by_words(attributes, "BodyPartExamined")} - {BodyPart.UNSTATED}
    if not said:
        return _by_words(attributes, "AcquisitionDeviceProcessingDescription")
    return next(part for part in (BodyPart.HAND, BodyPart.WRIST, BodyPart.OTHER) if part in said)


def _by_words(attributes: Attributes, keyword: str) -> BodyPart:
    text = " ".join(attributes.texts(keyword)).upper()
    words = set(re.findall(r"\w+", text.replace("_", " "))) | {re.sub(r"[\W_]+", "", text)}
    for part, table in (
        (BodyPart.HAND, _HAND_WORDS),
        (BodyPart.WRIST, _WRIST_WORDS),
        (BodyPart.OTHER, _OTHER_WORDS),
    ):
        if words & table:
            return part
    return BodyPart.UNSTATED


def _region(attributes: Attributes) -> BodyPart:
    for code in _codes(attributes, "AnatomicRegionSequence"):
        for part, table in (
            (BodyPart.HAND, _HAND_CODES),
            (BodyPart.WRIST, _WRIST_CODES),
            (BodyPart.OTHER, _OTHER_CODES),
        ):
            if code in table:
                return part
    return BodyPart.UNSTATED


def _codes(attributes: Attributes, keyword: str) -> list[Code]:
    """The codes in a sequence, the names that SNOMED's older scheme went by brought to one."""
    found = []
    for item in attributes.items(keyword):
        scheme = item.text("CodingSchemeDesignator")
        found.append(Code(item.text("CodeValue"), "SRT" if scheme in {"SNM3", "99SDM"} else scheme, ""))
    return found


def read_view(attributes: Attributes) -> View:
    """The projection by ViewPosition, else by ViewCodeSequence (PS3.16 CID 4010).

    Dorsopalmar (DP) is postero-anterior of a hand. Decubitus and lateral terms are not frontal.
    """
    words = set(re.findall(r"\w+", " ".join(attributes.texts("ViewPosition")).upper()))
    view_codes = _codes(attributes, "ViewCodeSequence")
    for view, word_table, code_table in (
        (View.NOT_FRONTAL, _NOT_FRONTAL_WORDS, _NOT_FRONTAL_CODES),
        (View.POSTERO_ANTERIOR, _PA_WORDS, _PA_CODES),
        (View.ANTERO_POSTERIOR, _AP_WORDS, _AP_CODES),
    ):
        if words & word_table or any(code in code_table for code in view_codes):
            return view
    return View.UNSTATED


def mentions_hand(attributes: Attributes) -> bool:
    """Whether a free text speaks of a hand or a bone age: good enough to rank by, never to decide by."""
    keywords = ("SeriesDescription", "ProtocolName", "PerformedProcedureStepDescription", "StudyDescription")
    return any(_HAND_TEXT.search(" ".join(attributes.texts(keyword))) for keyword in keywords)
