"""Requests of a peer, as plain values out of pynetdicom's own."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE, N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import decode
from pynetdicom.events import Event

from boneage_node.errors import BoneAgeError

from .bounds import BoundedBytes, IncomingFile


class DataSetTooLong(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The data set was longer than what is held in memory, and is not whole."""


@dataclass(frozen=True)
class StoreRequest:
    """A C-STORE request.

    Attributes:
        sop_class_uid: Affected SOP Class UID.
        sop_instance_uid: Affected SOP Instance UID.
        file: The data set.
    """

    sop_class_uid: UID | None
    sop_instance_uid: UID | None
    file: IncomingFile

    @classmethod
    def of(cls, event: Event) -> StoreRequest:
        """The request of an event of an association whose messages are `BoundedMessages`."""
        request = cast(C_STORE, event.request)
        file = cast(IncomingFile, request._dataset_file)
        return cls(request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, file)


@dataclass(frozen=True)
class NormalizedRequest:
    """An N-ACTION or N-EVENT-REPORT request.

    Attributes:
        sop_class_uid: Requested or Affected SOP Class UID.
        sop_instance_uid: Requested or Affected SOP Instance UID.
        type_id: Action Type ID or Event Type ID.
        data: Action Information or Event Information, encoded; None where there is none.
        transfer_syntax: How the data are encoded.
    """

    sop_class_uid: UID | None
    sop_instance_uid: UID | None
    type_id: int | None
    data: BytesIO | None
    transfer_syntax: UID

    @classmethod
    def of(cls, request: object, transfer_syntax: UID) -> NormalizedRequest:
        """The request of an event, or what a peer sends on an association of the node's."""
        if isinstance(request, N_ACTION):
            return cls(
                request.RequestedSOPClassUID,
                request.RequestedSOPInstanceUID,
                request.ActionTypeID,
                request.ActionInformation,
                transfer_syntax,
            )
        report = cast(N_EVENT_REPORT, request)
        return cls(
            report.AffectedSOPClassUID,
            report.AffectedSOPInstanceUID,
            report.EventTypeID,
            report.EventInformation,
            transfer_syntax,
        )

    def decode(self) -> Dataset:
        """Decode the data set.

        Raises:
            DataSetTooLong: It is not whole.
            Exception: Whatever pydicom raises over the bytes.
        """
        if isinstance(self.data, BoundedBytes) and self.data.too_long:
            raise DataSetTooLong
        syntax = self.transfer_syntax
        return decode(self.data or BytesIO(), syntax.is_implicit_VR, syntax.is_little_endian)
