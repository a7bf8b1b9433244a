"""Choice of the image of a study that is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from pydicom.dataset import Dataset
from pydicom.uid import DigitalXRayImageStorageForProcessing

from boneage_node.bone_age import Laterality, ReasonCode, Refusal
from boneage_node.traffic.file import StoredFile

from .anatomy import BodyPart
from .dataset import read_dataset, read_open_dataset, without_pixels
from .eligibility import check_eligibility, is_secondary_capture
from .header import Header, read_header
from .radiograph import Radiograph, read_radiograph

if TYPE_CHECKING:
    from boneage_node.bone_age.cropping import FoundHand

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


_MOST_OPEN = 64
"""Most files of a study that are kept open at a time; of more, the one to be read is opened again."""


@dataclass(frozen=True)
class Choice:
    """The image of a study to report on.

    Attributes:
        file: Its file.
        header: What its header says; None for a file that cannot be read.
        dataset: The data set without its pixels, its values as they are in the file; None where it cannot be
            read.
        radiograph: The image, decoded; None where it is refused before that.
        refusal: Why it is not read; None as long as nothing forbids it.
        found_hand: The hand in the radiograph, once it has been found.
    """

    file: StoredFile
    header: Header | None
    dataset: Dataset | None
    radiograph: Radiograph | None
    refusal: Refusal | None
    found_hand: FoundHand | None = None


@dataclass(frozen=True)
class _Candidate:
    """An instance of a study, by its header.

    Attributes:
        file: Its file.
        opened: The same, open; None where too many are.
        header: What its header says; None for a file that cannot be read.
        refusal: Why it must not be read; None where the header allows it.
    """

    file: StoredFile
    opened: BinaryIO | None
    header: Header | None
    refusal: Refusal | None

    def dataset(self, *, pixels: bool) -> Dataset:
        """Read its data set."""
        if self.opened is None:
            return read_dataset(self.file, pixels=pixels)
        return read_open_dataset(self.opened, pixels=pixels)


def choose_hand_image(files: Iterable[StoredFile], *, sex_required: bool = True) -> Choice:
    """Choose and decode the hand image of one study; each file is opened once.

    Instances are ranked by their headers, best first. Those that may be read go before the others. Then, in
    this order: sex known before unknown; hand before wrist before a description that speaks of a hand before
    nothing stated; PA before AP before nothing stated; for presentation before for processing before
    secondary capture; primary before derived; left, as in the atlases, before unknown before right; larger
    before smaller; newer before older; and, so that the same study always gives the same answer, SOP Instance
    UID. Of several files with one SOP Instance UID, the one received last counts.

    The best-ranked instance that decodes is taken. If none does, the refusal is that of the best-ranked.

    Args:
        files: The instances' files in the order in which they were received; at least one.
        sex_required: Refuse a patient of unknown sex.

    Raises:
        ValueError: There are no files.
        OSError: A file cannot be opened.
    """
    with ExitStack() as opened:
        first: Choice | None = None
        for candidate in _ranked(_candidates(files, opened, sex_required)):
            if candidate.refusal is None:
                choice = _decoded(candidate, sex_required)
                if choice.radiograph is not None:
                    return choice
                first = first or choice
            else:
                first = first or _refused(candidate)
    if first is None:
        raise ValueError("a study without instances")
    return first


def _candidates(files: Iterable[StoredFile], opened: ExitStack, sex_required: bool) -> Iterator[_Candidate]:
    for number, file in enumerate(files):
        if number < _MOST_OPEN:
            stream = opened.enter_context(file.open())
            yield _candidate(file, stream, stream, sex_required)
        else:
            with file.open() as stream:
                yield _candidate(file, None, stream, sex_required)


def _candidate(file: StoredFile, opened: BinaryIO | None, stream: BinaryIO, sex_required: bool) -> _Candidate:
    header: Header | None = None
    try:
        header = read_header(read_open_dataset(stream, pixels=False))
        check_eligibility(header, sex_required=sex_required)
    except Refusal as refusal:
        return _Candidate(file, opened, header, refusal)
    return _Candidate(file, opened, header, None)


def _ranked(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """The candidates, best first; of several with one SOP Instance UID the last."""
    newest: dict[str, _Candidate] = {}
    for candidate in candidates:
        uid = candidate.header.sop_instance_uid if candidate.header else ""
        newest[uid or candidate.file.key] = candidate
    ranked = sorted(newest.values(), key=lambda each: each.header.sop_instance_uid if each.header else "")
    ranked.sort(key=lambda each: each.header.acquired_at if each.header else "", reverse=True)
    return sorted(ranked, key=_rank)


def _decoded(candidate: _Candidate, sex_required: bool) -> Choice:
    """The candidate with its radiograph, or refused for its pixels."""
    kept: Dataset | None = None
    try:
        dataset = candidate.dataset(pixels=True)
        kept = without_pixels(dataset)
        radiograph = read_radiograph(dataset, sex_required=sex_required)
    except Refusal as refusal:
        return Choice(candidate.file, candidate.header, kept, None, refusal)
    return Choice(candidate.file, radiograph.header, kept, radiograph, None)


def _refused(candidate: _Candidate) -> Choice:
    """The candidate that its header refuses."""
    dataset = candidate.dataset(pixels=False) if candidate.header is not None else None
    return Choice(candidate.file, candidate.header, dataset, None, candidate.refusal)


def _rank(candidate: _Candidate) -> tuple[float, ...]:
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
