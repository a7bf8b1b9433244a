"""A wall clock that a test sets forward and back while a node runs.

Python imports this at its start where the folder is on PYTHONPATH. ``SHIFTED_CLOCK`` names a file with the
seconds by which the clock is ahead, or behind, where negative. The monotonic clock goes on as it is.
"""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import Any

_real_time = time.time
_RealDatetime = datetime.datetime


def _shift_seconds() -> float:
    return float(Path(os.environ["SHIFTED_CLOCK"]).read_text())


class _Alike(type):
    """Real times are instances of the class that takes the place of theirs."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealDatetime)


class _ShiftedDatetime(_RealDatetime, metaclass=_Alike):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _RealDatetime.now(tz) + datetime.timedelta(seconds=_shift_seconds())


if "SHIFTED_CLOCK" in os.environ:
    datetime.datetime = _ShiftedDatetime  # type: ignore[misc]
    time.time = lambda: _real_time() + _shift_seconds()
