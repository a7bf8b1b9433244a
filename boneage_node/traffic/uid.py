"""UIDs as they come from peers."""

from __future__ import annotations

import re

_UID = re.compile(r"[0-9.]{1,64}")


def is_uid(value: str) -> bool:
    """Tell whether a value is made of a UID's characters and of a UID's length.

    That is laxer than PS3.5 section 9.1: zeros in front and empty components do no harm, and devices write
    them.
    """
    return _UID.fullmatch(value) is not None
