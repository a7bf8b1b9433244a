"""The statuses that the receiver answers with."""

from __future__ import annotations

from boneage_node.dimse.status import RequestError, Status


def test_the_comment_is_cut_to_what_the_element_holds() -> None:
    answer = RequestError(Status.CANNOT_UNDERSTAND, "x" * 100).to_dataset()
    assert answer.Status == 0xC000
    assert len(answer.ErrorComment) == 64
