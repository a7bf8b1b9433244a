"""The words every room shares: sex, laterality, determination, agreement, and reasons not to read."""

from __future__ import annotations

from enum import StrEnum

from boneage_node.errors import BoneAgeError


class Sex(StrEnum):
    """Patient's sex as DICOM's PatientSex writes it; ``O`` and empty are unknown, hence no member."""

    MALE = "M"
    FEMALE = "F"


class Laterality(StrEnum):
    """Side of the hand, as DICOM's Laterality and ImageLaterality write it."""

    LEFT = "L"
    RIGHT = "R"


class Determination(StrEnum):
    """Comparison of the bone age with the chronological age (ACR/RSNA RadElement RDE1733)."""

    DELAYED = "delayed"
    NORMAL = "normal"
    ADVANCED = "advanced"
    INDETERMINATE = "indeterminate"


class Agreement(StrEnum):
    """Agreement of the networks on a hand, compared with hands they read well."""

    USUAL = "usual"
    LOW = "low"


class Caution(StrEnum):
    """What a reader is to look at in the picture before a reading is used."""

    FINGERS_OUTLINE = "fingers-outline"
    POINT_OFF_FINGER = "point-off-finger"

    @property
    def sentence(self) -> str:
        """The caution in words."""
        return _CAUTIONS[self]


_CAUTIONS = {
    Caution.FINGERS_OUTLINE: "Look at the picture: the outline does not show five fingers of usual length.",
    Caution.POINT_OFF_FINGER: "Look at the picture: the circle of a fingertip lies off it.",
}


class ReasonCode(StrEnum):
    """Why a radiograph was refused. The value is what databases, JSON and reports carry."""

    UNREADABLE_FILE = "unreadable-file"
    UNSUPPORTED_OBJECT = "unsupported-object"
    NOTHING_TO_READ = "nothing-to-read"
    CONTRADICTING_IMAGES = "contradicting-images"
    NOT_A_HAND = "not-a-hand"
    NO_PIXELS = "no-pixels"
    UNSUPPORTED_PIXELS = "unsupported-pixels"
    DAMAGED_PIXELS = "damaged-pixels"
    TOO_LARGE = "too-large"
    SEX_UNKNOWN = "sex-unknown"
    ADULT = "adult"
    NO_HAND_FOUND = "no-hand-found"
    SEVERAL_HANDS = "several-hands"
    IMPLAUSIBLE_HAND = "implausible-hand"
    READINGS_DISAGREE = "readings-disagree"


_SENTENCES = {
    ReasonCode.UNREADABLE_FILE: "The file cannot be read as DICOM.",
    ReasonCode.UNSUPPORTED_OBJECT: "The object is not a projection radiograph that this node reads.",
    ReasonCode.NOTHING_TO_READ: "There is no radiograph here to be read.",
    ReasonCode.CONTRADICTING_IMAGES: (
        "Images of the study contradict each other on whose they are. "
        "Put right what is wrong and send it again."
    ),
    ReasonCode.NOT_A_HAND: "The header says that this is not a frontal radiograph of a hand.",
    ReasonCode.NO_PIXELS: "The object holds no pixels.",
    ReasonCode.UNSUPPORTED_PIXELS: "The pixels are of a kind that this node does not read.",
    ReasonCode.DAMAGED_PIXELS: "The pixels cannot be decoded or do not fit the header.",
    ReasonCode.TOO_LARGE: "The image is larger than this node decodes.",
    ReasonCode.SEX_UNKNOWN: "The patient's sex is not known from the header, and the reading depends on it.",
    ReasonCode.ADULT: "The patient is older than the radiographs that the model was trained on.",
    ReasonCode.NO_HAND_FOUND: "No single whole hand was found in the image.",
    ReasonCode.SEVERAL_HANDS: "More than one hand was found in the image; a reading is of one hand.",
    ReasonCode.IMPLAUSIBLE_HAND: "What was found does not look like one whole hand seen from the front.",
    ReasonCode.READINGS_DISAGREE: "The networks disagree on this hand more than on hands they read well.",
}


class Refusal(BoneAgeError):  # noqa: N818 - a refusal is an answer, not an error
    """A radiograph that must not be read, with the reason.

    Args:
        code: The reason, for programs.
        detail: What exactly was found, for people; never patient data.
    """

    def __init__(self, code: ReasonCode, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(code, detail)

    @property
    def sentence(self) -> str:
        """The reason in words, followed by the detail in brackets where there is one."""
        sentence = _SENTENCES[self.code]
        return f"{sentence} ({self.detail})" if self.detail else sentence

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"
