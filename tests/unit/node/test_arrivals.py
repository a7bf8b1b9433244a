"""A study is read once it is whole, however its station uses associations."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy.exc import OperationalError
from support.store import DX, Clock

from boneage_node.node.arrivals import HELD_SECONDS, Arrivals
from boneage_node.reading.settings import ReadingSettings
from boneage_node.store import DatabaseError, Store
from boneage_node.traffic.received import Received

CR, PACS = "CR_ROOM_1", "PACS"
NOBODY: set[str] = set()


class Receiver:
    """What the receiver does with its arrivals, second by second; ``speaking`` is who speaks."""

    def __init__(self, store: Store, clock: Clock, settings: ReadingSettings) -> None:
        self.arrivals = Arrivals(store.intake, settings, clock=lambda: clock.now.timestamp())
        self.speaking: set[str] = set()
        self._store, self._clock = store, clock

    def image(self, study: str = "1.2.3", station: str = CR) -> int:
        """An image arrives; gives the number of its study."""
        incoming = self._store.spool.incoming_dir / uuid.uuid4().hex
        incoming.write_bytes(incoming.name.encode())
        uid = f"2.25.{uuid.uuid4().int}"
        received = Received(DX, uid, study, f"{study}.1", "1.2.840.10008.1.2.1", station)
        accepted = self.arrivals.accept(incoming, received)
        incoming.unlink()
        return accepted.study_id

    def one_association(self, study: str = "1.2.3") -> None:
        """An image over an association of its own."""
        self.speaking.add(CR)
        self.go_on(0.5)
        self.arrivals.association_released([self.image(study)])
        self.speaking.discard(CR)

    def go_on(self, seconds: float) -> int:
        """Let time pass; gives how many studies were queued meanwhile."""
        settled = 0
        for _ in range(int(4 * seconds)):
            self._clock.go_on(0.25)
            self.arrivals.look(self.speaking)
            settled += self._store.intake.settle()
        return settled


@pytest.fixture
def receiver(store: Store, clock: Clock) -> Receiver:
    return Receiver(store, clock, ReadingSettings())


def test_one_association_for_each_image_is_one_reading(receiver: Receiver) -> None:
    for _ in range(4):
        receiver.one_association()
        assert receiver.go_on(3) == 0
    assert receiver.go_on(2.5) == 1
    assert receiver.go_on(60) == 0


def test_a_study_waits_while_its_station_still_sends_on_another_association(receiver: Receiver) -> None:
    receiver.speaking = {CR}  # it brings the left hand, slowly
    receiver.arrivals.association_released([receiver.image()])  # the right hand, over another one
    assert receiver.go_on(40) == 0
    left = receiver.image()
    receiver.speaking = NOBODY
    receiver.arrivals.association_released([left])
    assert receiver.go_on(4.5) == 0
    assert receiver.go_on(1) == 1
    assert receiver.go_on(60) == 0


def test_a_study_does_not_wait_for_another_station(receiver: Receiver) -> None:
    receiver.speaking = {PACS}
    receiver.arrivals.association_released([receiver.image()])
    assert receiver.go_on(5.5) == 1


@pytest.mark.parametrize("released", [True, False])
def test_a_station_that_never_stops_speaking_holds_a_study_up_for_a_minute(
    receiver: Receiver, released: bool
) -> None:
    receiver.speaking = {CR}
    study = receiver.image()
    if released:
        receiver.arrivals.association_released([study])
    assert receiver.go_on(HELD_SECONDS - 1) == 0
    assert receiver.go_on(11) == 1


def test_an_association_that_is_aborted_or_silent_leaves_the_quiet_time(receiver: Receiver) -> None:
    receiver.image()
    assert receiver.go_on(9.5) == 0
    assert receiver.go_on(1) == 1


def test_a_receiver_that_dies_while_a_station_speaks_holds_nothing_up(
    receiver: Receiver, store: Store, clock: Clock
) -> None:
    receiver.speaking = {CR}
    receiver.image()
    receiver.go_on(20)
    clock.go_on(11)  # and nobody looks
    assert store.intake.settle() == 1


def test_a_look_that_the_database_failed_is_made_up_for(
    receiver: Receiver, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception())

    receiver.one_association()
    with monkeypatch.context() as patched:
        patched.setattr(store.intake, "settle_in", away)
        with pytest.raises(DatabaseError):
            receiver.go_on(0.25)
    assert receiver.go_on(6) == 1, "let go by the next look, not after the quiet time"


@pytest.mark.parametrize(
    ("settings", "seconds"), [({"release_quiet_seconds": 0.0}, 0.25), ({"quiet_seconds": 2.0}, 2.25)]
)
def test_the_waits_are_settings(
    store: Store, clock: Clock, settings: dict[str, float], seconds: float
) -> None:
    receiver = Receiver(store, clock, ReadingSettings(**settings))  # type: ignore[arg-type]
    receiver.one_association()
    assert receiver.go_on(seconds) == 1


def test_what_has_settled_is_forgotten(receiver: Receiver) -> None:
    for number in range(3):
        receiver.one_association(f"1.2.{number}")
    assert receiver.go_on(30) == 3
    assert receiver.arrivals._arrivals == {}
