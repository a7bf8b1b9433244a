"""What a person may have meant by a name that is no setting."""

from __future__ import annotations

from difflib import SequenceMatcher

from .settings import FIELDS, FORMER_NAMES, SECTIONS

SYNONYMS = {
    "delivery.send_to": "destination destinations pacs target targets remote store_to forward_to",
    "delivery.fhir_to": "fhir fhir_server fhir_url",
    "listening.ae_title": "ae aet called_ae_title own_ae_title local_ae_title scp_ae_title",
    "listening.host": "address bind bind_address interface ip listen",
    "listening.allowed_ae_titles": "allowed_aets callers calling_ae_titles clients modalities senders",
    "listening.allowed_addresses": "allowed_hosts allowed_ips allowed_networks networks",
    "listening.idle_seconds": "timeout network_timeout",
    "storage.data_dir": "directory folder path spool spool_dir",
    "storage.database_url": "db dsn postgresql postgres sqlite",
    "tls.certificate": "cert cert_file certfile",
    "tls.key": "key_file keyfile private_key",
    "tls.ca": "ca_file cafile trust truststore",
    "reading.device": "cuda gpu",
    "reading.quiet_seconds": "settle_seconds study_timeout",
    "logs.level": "debug verbose verbosity",
}
"""Other words for settings, as other DICOM programs call them, where letters alone lead elsewhere."""

_ALIKE = 0.75
"""Least similarity of two names of which one may be a misspelling of the other."""
_SEVERAL_MAX = 3


def nearest(spelled: str) -> list[str]:
    """The settings that a name may have been meant for, by their full names; often one, at times none.

    Args:
        spelled: As it stands in a file, ``section.name`` or ``name``, or in a variable without its prefix.
    """
    section, name = _split(spelled.lower().replace("-", "_"))
    found = {full_name: _likeness(section, name, full_name) for full_name in FIELDS}
    best = max(found.values())
    if best < _ALIKE:
        return []
    return [full_name for full_name, likeness in found.items() if likeness == best][:_SEVERAL_MAX]


def section_of(spelled: str) -> str | None:
    """The section that a name which is no setting stands in, if it is one."""
    section, _ = _split(spelled.lower().replace("-", "_"))
    return section if section in SECTIONS else None


def names_of(section: str) -> list[str]:
    """The settings of a section, without its name."""
    return list(SECTIONS[section].model_fields)


def _split(spelled: str) -> tuple[str, str]:
    """Section and name; in a variable an underscore stands between them."""
    section, dot, name = spelled.rpartition(".")
    if not dot:
        for one in SECTIONS:
            if name.startswith(f"{one}_") and name not in FORMER_NAMES:
                return one, name.removeprefix(f"{one}_")
    return section, name


def _likeness(section: str, name: str, full_name: str) -> float:
    """How alike a name is to a setting, 0 to 1, and a little more where the sections are alike too.

    Where a section is named that is one, a setting of another is meant only if its name is right.
    """
    its_section = full_name.partition(".")[0]
    own, synonyms = _own_names(full_name), SYNONYMS.get(full_name, "").split()
    if section in SECTIONS and section != its_section:
        return float(name in own)
    alike = max(*(_alike(name, one) for one in own), *(_ratio(name, one) for one in synonyms), 0.0)
    return alike + 0.2 * _ratio(section, its_section) if alike >= _ALIKE else alike


def _own_names(full_name: str) -> list[str]:
    """What a setting is called: its name, the former one, and its flag."""
    extra = FIELDS[full_name].json_schema_extra
    flag = str(extra.get("flag", "")) if isinstance(extra, dict) else ""
    former = [name for name, other in FORMER_NAMES.items() if other == full_name]
    names = [full_name.partition(".")[2], flag.lstrip("-").replace("-", "_"), *former]
    return [name for name in names if name]


def _alike(name: str, own: str) -> float:
    """Likeness of a name to one of a setting's own, of which it may also be some of the words."""
    words, of = set(name.split("_")), set(own.split("_"))
    part = 0.9 if "" not in words and (words < of or of < words) else 0.0
    return max(_ratio(name, own), part)


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
