"""What statuses mean."""

from __future__ import annotations

import pytest

from boneage_node.traffic.store_status import is_delivered, is_permanent, sentence, warning_sentence


@pytest.mark.parametrize("status", [0x0000, 0x0107, 0x0111, 0x0116, 0xB000, 0xB006, 0xB007])
def test_success_warnings_and_duplicates_are_delivered(status: int) -> None:
    assert is_delivered(status)


@pytest.mark.parametrize("status", [0x0117, 0x0122, 0x0211, 0xA900, 0xA9FF, 0xC000, 0xC123, 0xCFFF])
def test_failures_that_will_repeat_themselves_are_permanent(status: int) -> None:
    assert not is_delivered(status)
    assert is_permanent(status)


@pytest.mark.parametrize("status", [0x0110, 0x0124, 0xA700, 0xA7FF, 0xFE00, 0xD000])
def test_other_failures_may_pass(status: int) -> None:
    assert not is_delivered(status)
    assert not is_permanent(status)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xB000, "coercion"),
        (0xB006, "discarded data elements"),
        (0xB007, "does not match its SOP class"),
        (0x0107, "does not know all of its attributes"),
        (0x0116, "out of range"),
        (0xB123, "with a warning (status 0xB123)"),
        (0x0001, "with a warning (reason 0x0001)"),
    ],
)
def test_a_warning_says_what_became_of_the_instance(status: int, words: str) -> None:
    said = warning_sentence(status)
    assert said.startswith("The destination stored the instance")
    assert words in said


def test_a_sentence_gives_the_number_too() -> None:
    assert sentence(0xA701) == "the destination is out of resources (status 0xA701)"
