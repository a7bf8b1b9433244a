"""A part of the store, and what all parts need: counting rows, and turning rows into values and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import func, select

from boneage_node.spool import Spool

from .database import Transactions
from .tables import Base

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", bound="DataclassInstance")


class Part:
    """A part of the store: database and files."""

    def __init__(self, transactions: Transactions, spool: Spool) -> None:
        self._transactions = transactions
        self._spool = spool

    def _count(
        self, words: type[StrEnum], *columns: Any, word: Callable[..., StrEnum] | None = None
    ) -> dict[str, int]:
        """Numbers of rows for each of these words, which ``word`` makes of the columns."""
        with self._transactions.reading() as session:
            rows = session.execute(select(*columns, func.count()).group_by(*columns)).all()
        numbers = {(word or words)(*values): number for *values, number in rows}
        return {each.value: numbers.get(each, 0) for each in words}


def build(shape: type[Value], *rows: Base, **given: Any) -> Value:
    """Make a dataclass: a field is given, or comes from the first row that has a column of its name."""
    values: dict[str, Any] = {}
    for row in reversed(rows):
        values |= {name: getattr(row, name) for name in _common(shape, type(row))}
    return shape(**values | given)


def columns_of(table: type[Base], value: DataclassInstance) -> dict[str, Any]:
    """The fields of a dataclass that a table has columns for."""
    return {name: getattr(value, name) for name in _common(type(value), table)}


def _common(shape: type[DataclassInstance], table: type[Base]) -> set[str]:
    return {field.name for field in fields(shape)} & set(table.__table__.columns.keys())
