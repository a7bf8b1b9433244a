"""Which image of a study is the hand to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import DigitalXRayImageStorageForProcessing

from boneage_node.bone_age import Laterality, ReasonCode, Refusal

from .anatomy import BodyPart
from .dataset import read_dataset
from .eligibility import check_eligibility, is_secondary_capture
from .header import Header, read_header
from .radiograph import Radiograph, read_radiograph

# How far a refused instance got, for telling of a study in which nothing can be read.
_NEAREST_REFUSAL = (
    ReasonCode.SEX_UNKNOWN,
    ReasonCode.ADULT,
    ReasonCode.UNSUPPORTED_PIXELS,
    ReasonCode.NOT_A_HAND,
    ReasonCode.TOO_LARGE,
    ReasonCode.UNSUPPORTED_OBJECT,
    ReasonCode.UNREADABLE_FILE,
)
_LATERALITY_ORDER = (Laterality.LEFT, None, Laterality.RIGHT)


@dataclass(frozen=True)
class Candidate:
    """An instance of a study, by its header.

    Attributes:
        path: The file.
        header: What its header says; None for a file that cannot be read.
        refusal: Why it must not be read; None where the header allows it.
    """

    path: Path
    header: Header | None
    refusal: Refusal | None


@dataclass(frozen=True)
class Choice:
    """The image of a study to report on: read, or refused. Exactly one of radiograph and refusal is there.

    Attributes:
        path: The file.
        header: What its header says; None for a file that cannot be read.
        radiograph: The hand, decoded.
        refusal: Why there is none.
    """

    path: Path
    header: Header | None
    radiograph: Radiograph | None
    refusal: Refusal | None


def choose_hand_image(paths: Iterable[Path], *, sex_required: bool = True) -> Choice:
    """Choose and decode the hand image of one study.

    The best-ranked instance that decodes is taken. If none does, the refusal is that of the best-ranked.

    Args:
        paths: The instances' files in the order in which they were received; at least one.
        sex_required: Refuse a patient of unknown sex.

    Raises:
        ValueError: There are no paths.
        OSError: A file cannot be opened.
    """
    candidates = rank_instances(paths, sex_required=sex_required)
    if not candidates:
        raise ValueError("a study without instances")
    refused: list[Choice] = []
    for candidate in candidates:
        refusal = candidate.refusal
        if refusal is None:
            try:
                radiograph = read_radiograph(candidate.path, sex_required=sex_required)
                return Choice(candidate.path, radiograph.header, radiograph, None)
            except Refusal as raised:
                refusal = raised
        refused.append(Choice(candidate.path, candidate.header, None, refusal))
    return refused[0]


def rank_instances(paths: Iterable[Path], *, sex_required: bool = True) -> list[Candidate]:
    """Rank the instances of a study by their headers, best first.

    Those that may be read go before the others. Then, in this order: sex known before unknown; hand before
    wrist before a description that speaks of a hand before nothing stated; PA before AP before nothing
    stated; for presentation before for processing before secondary capture; primary before derived; left, as
    in the atlases, before unknown before right; larger before smaller; newer before older; and, so that the
    same study always gives the same answer, SOP Instance UID.

    Of several files with one SOP Instance UID, the one received last counts.

    Args:
        paths: Files in the order in which they were received.
        sex_required: Whether an image of a patient of unknown sex must not be read.
    """
    newest: dict[str, Candidate] = {}
    for path in paths:
        candidate = _candidate(path, sex_required)
        uid = candidate.header.sop_instance_uid if candidate.header else ""
        newest[uid or str(path)] = candidate
    ranked = sorted(newest.values(), key=lambda each: each.header.sop_instance_uid if each.header else "")
    ranked.sort(key=lambda each: each.header.acquired_at if each.header else "", reverse=True)
    return sorted(ranked, key=_rank)


def _candidate(path: Path, sex_required: bool) -> Candidate:
    header: Header | None = None
    try:
        header = read_header(read_dataset(path, pixels=False))
        check_eligibility(header, sex_required=sex_required)
    except Refusal as refusal:
        return Candidate(path, header, refusal)
    return Candidate(path, header, None)


def _rank(candidate: Candidate) -> tuple[float, ...]:
    distance = 0 if candidate.refusal is None else 1 + _NEAREST_REFUSAL.index(candidate.refusal.code)
    header = candidate.header
    if header is None:
        return (distance,)
    return (
        distance,
        header.sex is None,
        _body_part_order(header),
        header.view.value,
        _object_order(header),
        "DERIVED" in header.image_type[:1],
        _LATERALITY_ORDER.index(header.laterality),
        -header.rows * header.columns,
    )


def _body_part_order(header: Header) -> float:
    if header.body_part is BodyPart.UNSTATED:
        return 2 if header.mentions_hand else 3
    return {BodyPart.HAND: 0, BodyPart.WRIST: 1, BodyPart.OTHER: 4}[header.body_part]


def _object_order(header: Header) -> int:
    if is_secondary_capture(header):
        return 2
    return int(header.sop_class_uid == DigitalXRayImageStorageForProcessing)
