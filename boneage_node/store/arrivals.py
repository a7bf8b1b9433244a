"""Arrivals of instances: which copy of an image is the newest, and in which study it lies now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ScalarSelect, delete, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from .database import Transaction
from .tables import ArrivalRow, DocumentRow, InstanceRow


def record_arrival(session: Transaction, instance_id: int) -> None:
    """Note that an instance came, for the first time or anew."""
    session.add(ArrivalRow(instance_id=instance_id))
    session.flush()


def forget_arrivals(session: Transaction, sop_instance_uids: Collection[str]) -> None:
    """Have images lie in no study, whichever they have been in, until they come again."""
    copies = select(InstanceRow.id).where(InstanceRow.sop_instance_uid.in_(sop_instance_uids))
    session.execute(delete(ArrivalRow).where(ArrivalRow.instance_id.in_(copies)))


def newest_copy(session: Transaction, sop_instance_uid: str) -> InstanceRow | None:
    """The instance that came last under a SOP Instance UID; None before there is one."""
    return session.scalars(
        select(InstanceRow)
        .join(ArrivalRow, ArrivalRow.instance_id == InstanceRow.id)
        .where(InstanceRow.sop_instance_uid == sop_instance_uid)
        .order_by(ArrivalRow.id.desc())
        .limit(1)
    ).one_or_none()


def home_of(sop_instance_uid: InstrumentedAttribute[str]) -> ScalarSelect[int]:
    """The study in which an image lies now: that of its newest copy."""
    copy = aliased(InstanceRow)
    return (
        select(copy.study_id)
        .join(ArrivalRow, ArrivalRow.instance_id == copy.id)
        .where(copy.sop_instance_uid == sop_instance_uid)
        .order_by(ArrivalRow.id.desc())
        .limit(1)
        .scalar_subquery()
    )


def instances_in(session: Transaction, study_id: int) -> Sequence[InstanceRow]:
    """The instances that lie in a study now, in the order of their latest arrivals.

    An image that has since come as one of another study was moved there, and is not this one's any more. What
    the node made itself, and somebody sent back, is left out.
    """
    is_here = home_of(InstanceRow.sop_instance_uid) == study_id
    is_own = exists().where(DocumentRow.sop_instance_uid == InstanceRow.sop_instance_uid)
    return session.scalars(
        select(InstanceRow)
        .join(ArrivalRow, ArrivalRow.instance_id == InstanceRow.id)
        .where(InstanceRow.study_id == study_id, is_here, ~is_own)
        .group_by(InstanceRow.id)
        .order_by(func.max(ArrivalRow.id))
    ).all()


def is_own_document(session: Transaction, sop_instance_uid: str) -> bool:
    """Whether the node itself has made an object, for a report."""
    own = select(DocumentRow.id).where(DocumentRow.sop_instance_uid == sop_instance_uid).limit(1)
    return session.scalar(own) is not None
