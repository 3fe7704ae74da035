"""What the wall clock showed, on a machine whose clock is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hawkfish.clock import PastClock
from tests.support.clocks import HOUR, SetClock

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_without_a_jump_it_is_the_difference() -> None:
    hand = SetClock(NOON)
    clock = PastClock(hand.wall, hand.steady)
    hand.pass_by(HOUR)
    assert clock.ago(10 * MINUTE) == NOON + HOUR - 10 * MINUTE
    assert clock.ago(30 * HOUR) == NOON - 29 * HOUR, "before it began to look, too"


@pytest.mark.parametrize("looks", [True, False], ids=["seen-at-once", "seen-late"])
def test_what_was_before_a_jump_forward_is_told_as_it_was_shown(looks: bool) -> None:
    hand = SetClock(NOON)
    clock = PastClock(hand.wall, hand.steady)
    hand.set_by(5 * HOUR)
    if looks:
        clock.ago(MINUTE)
    hand.pass_by(10 * MINUTE)
    assert clock.ago(20 * MINUTE) == NOON - 10 * MINUTE
    hand.pass_by(HOUR)
    assert clock.ago(MINUTE) == hand.now() - MINUTE, "what was after it, as it is shown now"


def test_after_a_jump_back_nothing_looks_younger_than_it_may_be() -> None:
    hand = SetClock(NOON)
    clock = PastClock(hand.wall, hand.steady)
    hand.set_by(-HOUR)
    hand.pass_by(10 * MINUTE)
    assert clock.ago(20 * MINUTE) == NOON - HOUR - 10 * MINUTE


def test_jumps_add_up_and_slewing_is_none() -> None:
    hand = SetClock(NOON)
    clock = PastClock(hand.wall, hand.steady)
    for _ in range(100):
        hand.pass_by(MINUTE)
        hand.set_by(HOUR)
        clock.ago(MINUTE)
    assert clock.ago(3 * MINUTE) == hand.now() - 3 * MINUTE - 3 * HOUR
    for _ in range(100):
        hand.set_by(timedelta(milliseconds=500))
        hand.pass_by(MINUTE)
        clock.ago(MINUTE)
    assert hand.now() - clock.ago(3 * MINUTE) < 3 * MINUTE + timedelta(seconds=60)
