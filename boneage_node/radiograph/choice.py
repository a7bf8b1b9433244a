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
from .contradiction import contradictions
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
    ReasonCode.NOTHING_TO_READ,
)
_NO_RADIOGRAPHS = (ReasonCode.UNSUPPORTED_OBJECT, ReasonCode.NOTHING_TO_READ)
_LATERALITY_ORDER = (Laterality.LEFT, None, Laterality.RIGHT)


_MOST_OPEN = 64
"""Most files of a study that are kept open at a time; of more, the one to be read is opened again."""


@dataclass(frozen=True)
class Choice:
    """The image of a study to report on.

    Attributes:
        file: Its file; None where there is none.
        header: What its header says; None for a file that cannot be read.
        dataset: The data set without its pixels, its values as they are in the file; None where it cannot be
            read.
        radiograph: The image, decoded; None where it is refused before that.
        refusal: Why it is not read; None as long as nothing forbids it.
        found_hand: The hand in the radiograph, once it has been found.
    """

    file: StoredFile | None
    header: Header | None
    dataset: Dataset | None
    radiograph: Radiograph | None
    refusal: Refusal | None
    found_hand: FoundHand | None = None

    @property
    def file_key(self) -> str:
        """Name of its file in its store; empty where there is none."""
        return self.file.key if self.file else ""


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

    Of several files with one SOP Instance UID, the one received last counts. Where images that could be the
    hand contradict each other on whose they are (``contradictions``), nothing is read: no number is better
    than one under the wrong child's name.

    Instances are ranked by their headers, best first. Those that may be read go before the others. Then, in
    this order: sex known before unknown; hand before wrist before a description that speaks of a hand before
    nothing stated; PA before AP before nothing stated; for presentation before for processing before
    secondary capture; primary before derived; left, as in the atlases, before unknown before right; larger
    before smaller; and, as it may have been sent to put an earlier one right, received later before earlier.

    The best-ranked instance that decodes is taken. If none does, the refusal is that of the best-ranked.

    Args:
        files: The instances' files in the order in which they were received.
        sex_required: Refuse a patient of unknown sex.

    Raises:
        OSError: A file cannot be opened.
    """
    with ExitStack() as opened:
        candidates = _newest_first(_candidates(files, opened, sex_required))
        refused = _contradiction(candidates)
        for candidate in [] if refused else sorted(candidates, key=_rank):
            if candidate.refusal is None:
                choice = _decoded(candidate, sex_required)
                if choice.radiograph is not None:
                    return choice
                refused = refused or choice
            else:
                refused = refused or _refused(candidate, candidate.refusal)
    return refused or Choice(None, None, None, None, Refusal(ReasonCode.NOTHING_TO_READ, "no image is left"))


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


def _newest_first(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """The candidates, the one received last first; of several with one SOP Instance UID only that."""
    newest: dict[str, _Candidate] = {}
    for candidate in reversed(list(candidates)):
        uid = candidate.header.sop_instance_uid if candidate.header else ""
        newest.setdefault(uid or candidate.file.key, candidate)
    return list(newest.values())


def _contradiction(candidates: Iterable[_Candidate]) -> Choice | None:
    """The newest of the images that could be the hand, refused where they contradict each other."""
    comparable = [
        candidate
        for candidate in candidates
        if candidate.header is not None
        and candidate.header.body_part is not BodyPart.OTHER
        and (candidate.refusal is None or candidate.refusal.code not in _NO_RADIOGRAPHS)
    ]
    found = contradictions([candidate.header.identity for candidate in comparable if candidate.header])
    if not found:
        return None
    return _refused(comparable[0], Refusal(ReasonCode.CONTRADICTING_IMAGES, ", ".join(found)))


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


def _refused(candidate: _Candidate, refusal: Refusal) -> Choice:
    """The candidate, refused by its header."""
    dataset = candidate.dataset(pixels=False) if candidate.header is not None else None
    return Choice(candidate.file, candidate.header, dataset, None, refusal)


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
