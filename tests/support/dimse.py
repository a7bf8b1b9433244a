"""For tests of the DICOM network: small radiographs, a store to fill, a peer that says what it is told."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from ssl import SSLContext
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from boneage_node.dimse.store_scp import Receiver, serve
from boneage_node.dimse.wire.bounds import Limits
from boneage_node.net.listening import Listening
from boneage_node.spool import FolderSpool
from boneage_node.store import Store
from boneage_node.traffic.received import Accepted, Received

from .store import open_migrated
from .waiting import PATIENCE_SECONDS

PATIENT = "Zzyzx^Quillon"
"""A name that appears nowhere by chance."""
CR = str(ComputedRadiographyImageStorage)
VERIFICATION = "1.2.840.10008.1.1"
ECHO_ONLY = [(VERIFICATION, [ImplicitVRLittleEndian])]
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() reset the connection."""


def set_attributes(dataset: Dataset, **attributes: Any) -> Dataset:
    """Set attributes by keyword; None deletes."""
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def make_radiograph(**elements: Any) -> Dataset:
    """A small CR image; keyword arguments replace elements, None removes one."""
    image = Dataset()
    image.SOPClassUID = CR
    image.SOPInstanceUID = generate_uid()
    image.PatientName = PATIENT
    image.PatientID = "ID-" + PATIENT
    image.StudyInstanceUID = generate_uid()
    image.SeriesInstanceUID = generate_uid()
    image.Modality = "CR"
    image.Rows = image.Columns = 16
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = bytes(512)
    return set_attributes(image, **elements)


def write_radiograph(
    path: Path, transfer_syntax: str = ExplicitVRLittleEndian, image: Dataset | None = None, **elements: Any
) -> Dataset:
    """Write one as a file.

    For a compressed syntax the pixels are a fragment of nonsense: nobody here decodes it.
    """
    image = image or make_radiograph(**elements)
    syntax = UID(transfer_syntax)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    if syntax.is_compressed:
        image.PixelData = encapsulate([b"\xff\xd8nonsense\xff\xd9"])
        image["PixelData"].VR = "OB"
        image["PixelData"].is_undefined_length = True
    image.save_as(path, enforce_file_format=True)
    return image


def write_raw(path: Path, data: bytes, transfer_syntax: str = ImplicitVRLittleEndian) -> None:
    """Write a DICOM file of a data set that is encoded already, well or badly."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(CR), UID("1.2.3")
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        write_file_meta_info(file, meta)
        file.write(data)


def element(group: int, number: int, value: bytes) -> bytes:
    """A data element in implicit VR little endian, its value as it is but for the padding."""
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HHL", group, number, len(padded)) + padded


def encode(data_set: Dataset, transfer_syntax: str = ImplicitVRLittleEndian) -> bytes:
    """A data set's bytes, without file meta information."""
    syntax = UID(transfer_syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax.is_implicit_VR
    buffer.is_little_endian = syntax.is_little_endian
    write_dataset(buffer, data_set)
    return buffer.getvalue()


def data_set_bytes(file: Path) -> bytes:
    """What follows a DICOM file's meta information, as bytes."""
    content = file.read_bytes()
    meta_length = struct.unpack_from("<L", content, 140)[0]  # behind preamble, prefix, and (0002,0000) UL 4
    return content[144 + meta_length :]


@dataclass
class Watched:
    """The store's intake, and what was said to it. ``fault`` is raised instead of accepting."""

    store: Store
    accepted: list[Received] = field(default_factory=list)
    released: list[set[int]] = field(default_factory=list)
    fault: BaseException | None = None
    before_accept: Callable[[], object] = lambda: None
    quiet_seconds: float = 10.0

    def accept(self, incoming: Path, received: Received) -> Accepted:
        self.before_accept()
        if self.fault is not None:
            raise self.fault
        result = self.store.intake.accept(incoming, received, self.quiet_seconds)
        self.accepted.append(received)
        return result

    def association_released(self, study_ids: Iterable[int]) -> None:
        self.store.intake.settle_in(study_ids, 0)
        self.released.append(set(study_ids))

    def files(self) -> list[Path]:
        """What the spool keeps."""
        incoming = self.store.spool.incoming_dir
        return [path for path in self.store.spool.root.rglob("*.dcm") if path.parent != incoming]

    def incoming(self) -> list[Path]:
        """What is still on its way, or left behind."""
        return list(self.store.spool.incoming_dir.iterdir())


def patient_receiving(folder: Path, **settings: Any) -> AbstractContextManager[tuple[Receiver, Watched]]:
    """A receiver that waits longer than a scripted peer, so that nothing here comes of a timeout."""
    waits = 3 * PATIENCE_SECONDS
    return receiving(folder, limits=Limits(waits, reserve_bytes=0), idle_seconds=waits, **settings)


@contextmanager
def receiving(
    folder: Path,
    *,
    limits: Limits | None = None,
    tls: SSLContext | None = None,
    quiet_seconds: float = 10.0,
    **listening: Any,
) -> Iterator[tuple[Receiver, Watched]]:
    """A receiver on a free port with a SQLite store in a folder.

    What is set of listening is not validated: no association at all may be asked for.
    """
    store = Store(open_migrated(f"sqlite:///{folder}/node.sqlite3"), FolderSpool(folder / "spool", 0))
    sink = Watched(store, quiet_seconds=quiet_seconds)
    section = Listening(port=0).model_copy(update=listening)
    receiver = serve(
        section,
        section.bind(),
        sink,
        store.spool.incoming_dir,
        limits=limits or Limits(reserve_bytes=0),
        tls=tls,
    )
    try:
        yield receiver, sink
    finally:
        receiver.shutdown(grace_seconds=2.0)
        store.engine.dispose()


# What a scripted peer sends.


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def associate_request(
    contexts: Iterable[tuple[str, list[str]]] = ((CR, [ImplicitVRLittleEndian]),),
    calling: str = "PEER",
    called: str = "BONEAGE",
) -> bytes:
    """An A-ASSOCIATE-RQ PDU; presentation context ids are 1, 3, 5, ..."""
    body = struct.pack(">H2x16s16s32x", 1, called.ljust(16).encode(), calling.ljust(16).encode())
    body += _item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (abstract_syntax, transfer_syntaxes) in enumerate(contexts):
        context = struct.pack(">B3x", 2 * number + 1) + _item(0x30, abstract_syntax.encode())
        context += b"".join(_item(0x40, syntax.encode()) for syntax in transfer_syntaxes)
        body += _item(0x20, context)
    body += _item(0x50, _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3"))
    return struct.pack(">BxL", 1, len(body)) + body


def associate_accept(transfer_syntax: str = ImplicitVRLittleEndian) -> bytes:
    """An A-ASSOCIATE-AC PDU that accepts presentation context 1."""
    context = struct.pack(">BxBx", 1, 0) + _item(0x40, transfer_syntax.encode())
    body = struct.pack(">H2x64x", 1) + _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x21, context)
    body += _item(0x50, _item(0x51, struct.pack(">L", 16384)) + _item(0x52, b"1.2.3"))
    return struct.pack(">BxL", 2, len(body)) + body


def p_data(*values: tuple[int, int, bytes]) -> bytes:
    """A P-DATA-TF PDU of values (context id, message control header, bytes)."""
    body = b"".join(struct.pack(">LBB", len(data) + 2, *head) + data for *head, data in values)
    return struct.pack(">BxL", 4, len(body)) + body


COMMAND, LAST_COMMAND, DATA, LAST_DATA = 1, 3, 0, 2
RELEASE_REQUEST = bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0))
ABORT = bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0))


def command(field_number: int, *, has_data_set: bool = True, message_id: int = 1, **elements: str) -> bytes:
    """An encoded command set, without group length; values are written as they are, valid or not."""
    values: dict[int, bytes] = {
        0x0100: struct.pack("<H", field_number),
        0x0110: struct.pack("<H", message_id),
        0x0700: struct.pack("<H", 0),
        0x0800: struct.pack("<H", 0x0001 if has_data_set else 0x0101),
    }
    tags = {"sop_class_uid": 0x0002, "sop_instance_uid": 0x1000}
    for name, value in elements.items():
        values[tags[name]] = value.encode()
    return b"".join(element(0, tag, value) for tag, value in sorted(values.items()))


def store_request(image: Dataset, **elements: str) -> bytes:
    """A C-STORE-RQ command set for an image."""
    uids = {"sop_class_uid": str(image.SOPClassUID), "sop_instance_uid": str(image.SOPInstanceUID)}
    return command(0x0001, **{**uids, **elements})


def connect(port: int) -> socket.socket:
    """A TCP connection to a port of loopback that waits patiently for what comes."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other end closes, reading what it still sends; False where it does not."""
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


class RawPeer:
    """A TCP connection that sends what a test says, byte for byte."""

    def __init__(self, port: int) -> None:
        self.socket = connect(port)

    @classmethod
    def of(cls, connection: socket.socket) -> RawPeer:
        """One that was called, by its end of the connection."""
        peer = cls.__new__(cls)
        peer.socket = connection
        return peer

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associate(self, *args: Any, **kwargs: Any) -> RawPeer:
        """Open an association; fails the test when it is not accepted."""
        self.send(associate_request(*args, **kwargs))
        answer = self.read_pdu()
        assert answer is not None
        assert answer[0] == 2, "association not accepted"
        return self

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_pdu(self) -> bytes | None:
        """The next PDU, or None where the connection is closed."""
        header = self._read(6)
        return None if header is None else header + (self._read(struct.unpack(">BxL", header)[1]) or b"")

    def read_answer(self) -> Dataset:
        """The command set of the next P-DATA PDU."""
        pdu = self.read_pdu()
        assert pdu is not None
        assert pdu[0] == 4, f"PDU of type {pdu[0]} instead of an answer"
        return read_dataset(BytesIO(pdu[12:]), is_implicit_VR=True, is_little_endian=True)

    def store(self, image: Dataset, data: bytes | None = None, **elements: str) -> Dataset:
        """Send a C-STORE request on context 1; the answer."""
        self.send(p_data((1, LAST_COMMAND, store_request(image, **elements))))
        self.send(p_data((1, LAST_DATA, encode(image) if data is None else data)))
        return self.read_answer()

    def is_closed(self) -> bool:
        """Wait until the node closes the connection; False where it does not."""
        return is_closed(self.socket)

    def _read(self, count: int) -> bytes | None:
        received = b""
        while len(received) < count:
            try:
                data = self.socket.recv(count - len(received))
            except ConnectionResetError:
                return None
            if not data:
                return None
            received += data
        return received


def can_send(peer: RawPeer, data: bytes) -> bool:
    """Whether the connection still takes bytes."""
    try:
        peer.send(data)
    except OSError:
        return False
    return True


def echo(peer: RawPeer, message_id: int = 1) -> int:
    """The status of a C-ECHO on context 1."""
    request = command(0x0030, has_data_set=False, sop_class_uid=VERIFICATION, message_id=message_id)
    peer.send(p_data((1, LAST_COMMAND, request)))
    status: int = peer.read_answer().Status
    return status


def thread_count() -> int:
    """Threads of this process."""
    return threading.active_count()
