"""The studies in ``sample_dicom/``: what a node meets in a day, drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from boneage_node.bone_age import Laterality, Sex

from .chest import draw_chest
from .dicom import Encoding, Patient, chest_dicom, hand_dicom
from .hand import draw_hand

_GIRL, _BOY = Sex.FEMALE, Sex.MALE


@dataclass(frozen=True)
class Sample:
    """One sample study of one image.

    Attributes:
        file_name: In ``sample_dicom/``.
        sex: Of the drawn child.
        age_months: Of the drawn child.
        seed: Of the drawing.
        encoding: How it is stored.
        says: What is special about it, for the folder's README.
        height_px, laterality, rotation_degrees, collimated: As for :func:`draw_hand`.
        sex_known: False leaves PatientSex empty.
        chest: Draw a chest instead of a hand.
    """

    file_name: str
    sex: Sex
    age_months: float
    seed: int
    encoding: Encoding
    says: str
    height_px: int = 720
    laterality: Laterality = Laterality.LEFT
    rotation_degrees: float = 0.0
    collimated: bool = False
    sex_known: bool = True
    chest: bool = False


SAMPLES = (
    Sample("girl-01y6m-cr.dcm", _GIRL, 18, 11, Encoding("CR", "MONOCHROME2", 10, ExplicitVRLittleEndian),
           "a toddler; CR, 10 bits, uncompressed", height_px=600),
    Sample("boy-04y-cr-mono1.dcm", _BOY, 50, 12, Encoding("CR", "MONOCHROME1", 12, ImplicitVRLittleEndian),
           "MONOCHROME1 (bone dark as stored), Implicit VR Little Endian", height_px=640),
    Sample("girl-06y-dx-jpeg2000.dcm", _GIRL, 75, 13, Encoding("DX", "MONOCHROME2", 14, JPEG2000Lossless),
           "JPEG 2000 lossless, 14 bits", height_px=800),
    Sample("girl-08y-dx.dcm", _GIRL, 99, 14, Encoding("DX", "MONOCHROME2", 12, ExplicitVRLittleEndian),
           "an ordinary DX image, uncompressed"),
    Sample("boy-09y-dx-right.dcm", _BOY, 111, 15, Encoding("DX", "MONOCHROME2", 12, RLELossless),
           "a right hand; RLE", laterality=Laterality.RIGHT),
    Sample("girl-11y-cr-rotated.dcm", _GIRL, 135, 16, Encoding("CR", "MONOCHROME2", 10, RLELossless),
           "the hand turned by 28 degrees; RLE", rotation_degrees=28.0),
    Sample("boy-12y-dx-16bit.dcm", _BOY, 149, 17, Encoding("DX", "MONOCHROME2", 16, JPEG2000Lossless),
           "16 bits, JPEG 2000 lossless, collimated", height_px=800, collimated=True),
    Sample("girl-13y-dx-mono1.dcm", _GIRL, 161, 18, Encoding("DX", "MONOCHROME1", 12, RLELossless),
           "MONOCHROME1 in DX; RLE, collimated", collimated=True),
    Sample("boy-15y-cr.dcm", _BOY, 184, 19, Encoding("CR", "MONOCHROME1", 10, RLELossless),
           "an adolescent; CR, MONOCHROME1, 10 bits, RLE"),
    Sample("no-sex-10y-dx.dcm", _BOY, 124, 20, Encoding("DX", "MONOCHROME2", 10, RLELossless),
           "PatientSex is empty: must be refused, never guessed", height_px=600, sex_known=False),
    Sample("chest-07y-dx.dcm", _GIRL, 88, 21, Encoding("DX", "MONOCHROME2", 12, RLELossless),
           "a chest: must be refused", height_px=480, chest=True),
)  # fmt: skip
"""All samples, in the order of the README."""


def sample_dataset(sample: Sample) -> FileDataset:
    """Draw one sample and dress it as DICOM."""
    years = int(sample.age_months // 12)
    who = {_GIRL: "GIRL", _BOY: "BOY"}[sample.sex] if sample.sex_known else "CHILD"
    patient = Patient(
        name=f"PHANTOM^{who} {years:02d}Y",
        patient_id=f"PHANTOM-{sample.seed:03d}",
        sex=sample.sex if sample.sex_known else None,
        age_months=sample.age_months,
    )
    if sample.chest:
        return chest_dicom(
            draw_chest(seed=sample.seed, height_px=sample.height_px), patient, encoding=sample.encoding
        )
    hand = draw_hand(
        sample.age_months,
        sample.sex,
        seed=sample.seed,
        height_px=sample.height_px,
        laterality=sample.laterality,
        rotation_degrees=sample.rotation_degrees,
        collimated=sample.collimated,
    )
    return hand_dicom(hand, patient, encoding=sample.encoding)


def write_samples(folder: Path) -> list[Path]:
    """Draw all samples and write them, with a README, into a folder.

    Args:
        folder: Made where it is missing; files of the same names are overwritten.

    Returns:
        Paths of the DICOM files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for sample in SAMPLES:
        path = folder / sample.file_name
        sample_dataset(sample).save_as(path, enforce_file_format=True)
        paths.append(path)
    (folder / "README.md").write_text(_readme(), encoding="utf-8")
    return paths


def _readme() -> str:
    rows = [f"| `{s.file_name}` | {_sex_word(s)} | {_age_words(s.age_months)} | {s.says} |" for s in SAMPLES]
    return "\n".join([*_README_HEAD, *rows, *_README_TAIL, ""])


def _sex_word(sample: Sample) -> str:
    if not sample.sex_known:
        return "not given"
    return {_GIRL: "girl", _BOY: "boy"}[sample.sex]


def _age_words(age_months: float) -> str:
    years, months = divmod(round(age_months), 12)
    return f"{years} y {months} mo"


_README_HEAD = (
    "# Sample studies",
    "",
    "Radiographs to replay: name this folder to `boneage-node replay`. They are **drawn**, by",
    "`boneage_node.phantom`; there is no patient behind any of them. In a hand, each centre of ossification",
    "appears, grows and fuses at about the age that the literature gives for its sex",
    "(`boneage_node.phantom.ossification`), and bone age and age at the study are the same. A model",
    "trained on real radiographs reads a drawing with a larger error than a real hand: the samples show",
    "that the node works, not how well a model reads.",
    "",
    "| file | sex | age | what it is |",
    "|---|---|---|---|",
)
_README_TAIL = (
    "",
    "Written by `boneage-node phantom FOLDER`; a test holds `sample_dicom/` in the repository to it.",
)
