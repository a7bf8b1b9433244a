"""Contradictions among the images of one study on whose they are."""

from __future__ import annotations

from collections.abc import Sequence

from .header import MAX_DAYS_APART, Identity

_MAX_MONTHS_APART = 12.0
"""PatientAge is often written in whole years."""


def contradictions(identities: Sequence[Identity]) -> list[str]:
    """Attributes in which images of one study contradict each other, by keyword; never their values.

    In DICOM's model of the real world all images of a study are of one patient and one study, so these are
    what cannot differ: PatientID and its issuer, date of birth, sex, the day of the study (further apart than
    one study takes), and PatientAge where it is all that is known of the age. What an image does not say
    contradicts nothing. A side is no contradiction: a study may have both hands.
    """
    found = [
        keyword
        for keyword, values in (
            ("PatientID", {each.patient_id for each in identities}),
            ("IssuerOfPatientID", {each.issuer for each in identities}),
            ("PatientBirthDate", {each.birth_date for each in identities}),
            ("PatientSex", {each.sex for each in identities}),
        )
        if len(values - {"", None}) > 1
    ]
    days = [each.study_date for each in identities if each.study_date]
    if days and (max(days) - min(days)).days > MAX_DAYS_APART:
        found.append("StudyDate")
    ages = [each.stated_age_months for each in identities if each.stated_age_months is not None]
    if ages and max(ages) - min(ages) > _MAX_MONTHS_APART and not any(each.birth_date for each in identities):
        found.append("PatientAge")
    return found
