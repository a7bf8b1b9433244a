"""The conformance statement: the text with what the code knows put in."""

from __future__ import annotations

from importlib.resources import files
from string import Template

from pydicom import Dataset
from pydicom.datadict import dictionary_description
from pydicom.uid import UID, JPEG2000Lossless
from pynetdicom import AE

from boneage_node import __version__
from boneage_node.about import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from boneage_node.dicomweb import query as web_query
from boneage_node.dicomweb import wado
from boneage_node.dimse import commitment
from boneage_node.dimse.contexts import TRANSFER_SYNTAXES, UNCOMPRESSED
from boneage_node.dimse.status import Status
from boneage_node.dimse.wire import association, associations, bounds, messages, transport
from boneage_node.dimse.wire.admission import ECHO_RESERVE
from boneage_node.dimse.wire.bounds import Limits
from boneage_node.dimse.wire.negotiation import APPLICATION_CONTEXT
from boneage_node.net.http import MAX_ANSWER_BYTES
from boneage_node.net.tls import CIPHERS_OF_TLS_1_2
from boneage_node.settings.settings import FIELDS
from boneage_node.settings.table import settings_table
from boneage_node.store.commitments import KEPT_DAYS
from boneage_node.traffic import query
from boneage_node.traffic.commitment import FailureReason

from . import network
from .attributes import attribute_tables
from .content import content_table
from .examples import pictures, refusals, structured_reports
from .reads import reads_table

_SYNTAX_LISTS = {UNCOMPRESSED: "uncompressed", TRANSFER_SYNTAXES: "images"}
_OF_PICTURES = {(JPEG2000Lossless,): "JPEG 2000 lossless"}
_SETTINGS = (
    "listening.ae_title",
    "listening.host",
    "listening.port",
    "listening.allowed_ae_titles",
    "listening.allowed_addresses",
    "listening.open_to_all",
    "listening.max_associations",
    "listening.idle_seconds",
    "reading.quiet_seconds",
    "reading.release_quiet_seconds",
    "tls.certificate",
    "tls.key",
    "tls.ca",
    "storage.reserve_mib",
    "delivery.send_to",
    "report.send_refusals",
    "report.send_pictures",
    "report.sr_class",
    "reading.sex_unknown",
    "delivery.max_attempts",
    "delivery.base_seconds",
    "delivery.cap_seconds",
    "commitment.request",
    "commitment.wait_seconds",
    "commitment.max_attempts",
    "commitment.known_peers",
    "waits.connect_seconds",
    "waits.answer_seconds",
    "waits.retrieve_seconds",
)
"""Settings that matter to the stations around the node."""
_KIB, _MIB, _GIB = 2**10, 2**20, 2**30


def conformance_markdown() -> str:
    """The text of ``docs/conformance.md``."""
    text = Template((files(__package__) / "statement.md").read_text(encoding="utf-8"))
    assessments, refused, captures = structured_reports(), refusals(), pictures()
    return text.substitute(
        _defaults()
        | _limits()
        | _network([*assessments, *refused, *captures])
        | _objects(assessments, refused, captures)
        | {"reads": reads_table()}
    )


def _defaults() -> dict[str, str]:
    """The defaults of the settings that the text speaks of."""
    numbers = {name.replace(".", "_"): FIELDS[name].default for name in _SETTINGS}
    return {name: f"{default:g}" for name, default in numbers.items() if isinstance(default, int | float)}


def _limits() -> dict[str, str]:
    receiver = Limits()
    limits = {
        "max_pdu_mib": bounds.MAX_PDU_BYTES / _MIB,
        "requestor_pdu_bytes": AE().maximum_pdu_size,
        "max_requestor_pdu_kib": association.MAX_RECEIVED_PDU_BYTES / _KIB,
        "step_kib": transport.STEP_BYTES / _KIB,
        "work_factor": associations.WORK_FACTOR,
        "echo_reserve": ECHO_RESERVE,
        "request_timeout_seconds": receiver.request_timeout_seconds,
        "max_command_kib": messages.MAX_COMMAND_BYTES / _KIB,
        "max_waiting_requests": messages.MAX_WAITING_REQUESTS,
        "max_instance_mib": receiver.max_instance_bytes / _MIB,
        "max_matches": query.MAX_MATCHES,
        "commitment_batch": commitment.REQUEST_BATCH,
        "linger_seconds": commitment.LINGER_SECONDS,
        "web_limit": query.MAX_MATCHES + 1,
        "max_retrieved_gib": wado.MAX_RETRIEVED_BYTES / _GIB,
        "max_stow_mib": MAX_ANSWER_BYTES / _MIB,
        "max_qido_mib": web_query.MAX_ANSWER_BYTES / _MIB,
    }
    return {name: f"{limit:.10g}" for name, limit in limits.items()}


def _network(objects: list[Dataset]) -> dict[str, str]:
    accepted = network.as_acceptor()
    proposed = network.as_requestor(objects)
    return {
        "version": __version__,
        "implementation_class_uid": IMPLEMENTATION_CLASS_UID,
        "implementation_version_name": IMPLEMENTATION_VERSION_NAME,
        "services": network.services_table(accepted, proposed),
        "acceptor": network.acceptor_table(accepted, _SYNTAX_LISTS),
        "acceptor_syntaxes": network.syntax_table(_SYNTAX_LISTS),
        "application_context": APPLICATION_CONTEXT,
        "rejections": network.rejection_table(),
        "store_statuses": network.status_table(Status),
        "commitment_statuses": network.status_table(commitment.CommitmentStatus),
        "failure_reasons": network.failure_reason_table(),
        "no_such_instance": f"0x{FailureReason.NO_SUCH_OBJECT_INSTANCE:04X}",
        "class_conflict": f"0x{FailureReason.CLASS_INSTANCE_CONFLICT:04X}",
        "transaction_kept_days": str(KEPT_DAYS),
        "requestor": network.requestor_table(proposed, _SYNTAX_LISTS | _OF_PICTURES),
        "peer_statuses": network.peer_status_table(),
        "permanent_http_statuses": network.permanent_http_statuses(),
        "study_keys": _names(query.STUDY_KEYS),
        "series_keys": _names(query.SERIES_KEYS),
        "ciphers": CIPHERS_OF_TLS_1_2,
        "settings": "\n".join(settings_table(_SETTINGS)),
    }


def _objects(assessments: list[Dataset], refused: list[Dataset], captures: list[Dataset]) -> dict[str, str]:
    tables = attribute_tables({"documents": [*assessments, *refused], "pictures": captures})
    return {
        "all_attributes": tables["all"],
        "document_attributes": tables["documents"],
        "picture_attributes": tables["pictures"],
        "document_classes": _classes([made.SOPClassUID for made in (*assessments, *refused)]),
        "picture_classes": _classes([made.SOPClassUID for made in captures]),
        "assessment_content": content_table(assessments),
        "refusal_content": content_table(refused),
    }


def _classes(uids: list[UID]) -> str:
    return ", ".join(uid.name for uid in dict.fromkeys(uids))


def _names(keywords: tuple[str, ...]) -> str:
    return ", ".join(map(dictionary_description, keywords))
