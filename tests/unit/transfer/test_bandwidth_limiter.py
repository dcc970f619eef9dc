"""Bytes a second, on a clock that stands still until it is told to go on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from artifact_sync.transfer.bandwidth import BandwidthLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

KIB, MIB = 1 << 10, 1 << 20
CHUNK = 64 * KIB
LONG_AGO = datetime(2026, 11, 23, 7, 59, 58, tzinfo=UTC)


class Clock:
    """Sleepers wake in the order of their times, each at its very moment."""

    def __init__(self, wall: datetime = LONG_AGO) -> None:
        self.time = 100.0
        self.wall = wall
        self.asked = 0
        """How often somebody asked for the wall clock."""
        self.slept: list[float] = []
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        self.asked += 1
        return self.wall + timedelta(seconds=self.time - 100)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (self.time + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that happens in it."""
        end = self.time + seconds
        await settled()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.time, _, woken = heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await settled()
        self.time = end


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Takers:
    """Downloads that take their bytes; when they got them, by name."""

    def __init__(self, pace: BandwidthLimiter, clock: Clock) -> None:
        self.pace = pace
        self.clock = clock
        self.got: list[tuple[str, float]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, *sizes: int) -> None:
        self.tasks[name] = asyncio.create_task(self._take(name, sizes))

    async def _take(self, name: str, sizes: tuple[int, ...]) -> None:
        for size in sizes:
            await self.pace.take(size)
            self.got.append((name, self.clock.time - 100))

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)


def played(
    timetable: Any,
    play: Callable[[Takers, Clock], Coroutine[Any, Any, None]],
    clock: Clock | None = None,
) -> list[tuple[str, float]]:
    """Who got bytes when, in a play that has come to its end."""
    clock = clock or Clock()
    takers = Takers(BandwidthLimiter(timetable, clock, UTC), clock)

    async def main() -> None:
        await play(takers, clock)
        await clock.advance(0)
        assert all(task.done() for task in takers.tasks.values())

    asyncio.run(main())
    return takers.got


def steps(awaitable: Coroutine[Any, Any, None]) -> int:
    """How often a coroutine yields; it is left where it does so."""
    try:
        awaitable.send(None)
    except StopIteration:
        return 0
    awaitable.close()
    return 1


@pytest.mark.parametrize("timetable", [(), ((0, None), (480, MIB))])
def test_without_a_limit_nobody_waits_or_yields(timetable: Any) -> None:
    pace = BandwidthLimiter(timetable, Clock(), UTC)
    assert [steps(pace.take(100 * MIB)) for _ in range(100)] == [0] * 100


def test_a_burst_passes_at_once_and_the_rest_in_its_time() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", *[CHUNK] * 8)
        await clock.advance(1)

    # 1 MiB/s: a quarter of a second's bytes are four chunks, then one comes every sixteenth
    assert played(((0, MIB),), play) == [
        ("a", 0.0),
        ("a", 0.0),
        ("a", 0.0),
        ("a", 0.0),
        ("a", 0.0625),
        ("a", 0.125),
        ("a", 0.1875),
        ("a", 0.25),
    ]


def test_a_burst_is_a_chunk_even_at_the_slowest_rate() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", CHUNK, CHUNK, 1)
        await clock.advance(65)

    assert played(((0, KIB),), play) == [("a", 0.0), ("a", 64.0), ("a", 64 + 2**-10)]


def test_more_than_a_burst_is_let_through_and_paid_for_afterwards() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", 2 * MIB, 1)
        await clock.advance(2)

    assert played(((0, MIB),), play) == [("a", 0.0), ("a", 1.75 + 2**-20)]


def test_an_hour_of_rest_is_worth_no_more_than_a_burst() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", *[CHUNK] * 4)
        await clock.advance(3600)
        takers.start("b", *[CHUNK] * 6)
        await clock.advance(1)

    got = [when for name, when in played(((0, MIB),), play) if name == "b"]
    assert got == [3600.0, 3600.0, 3600.0, 3600.0, 3600.0625, 3600.125]


def test_all_take_their_turns_in_the_order_in_which_they_came() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        await takers.pace.take(MIB)
        for name in "abc":
            takers.start(name, CHUNK, CHUNK)
        await clock.advance(2)

    got = played(((0, MIB),), play)
    assert "".join(name for name, _ in got) == "abcabc"
    times = [when for _, when in got]
    assert times == [0.8125, 0.875, 0.9375, 1.0, 1.0625, 1.125]


def test_over_a_long_time_it_is_the_rate_to_the_byte() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        for number in range(8):
            takers.start(f"{number}", *[CHUNK] * 1000)
        await clock.advance(500)

    got = played(((0, MIB),), play)
    assert len(got) == 8000
    assert got[-1][1] == (8000 - 4) / 16


def test_who_stops_waiting_gives_his_place_up_and_has_spent_nothing() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        await takers.pace.take(MIB)
        for name in "abcd":
            takers.start(name, CHUNK)
        await clock.advance(0.5)
        await takers.cancel("a")  # it was the next one
        await takers.cancel("c")  # it stood in the queue
        await clock.advance(1)

    assert played(((0, MIB),), play) == [("b", 0.8125), ("d", 0.875)]


def test_who_stops_waiting_in_the_moment_of_his_turn_holds_nobody_up() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        await takers.pace.take(MIB)
        for name in "abc":
            takers.start(name, CHUNK)
        await settled()
        clock.time += 0.8125
        clock._sleepers[0][2].set_result(None)  # a is about to go on
        takers.tasks["a"].cancel()
        takers.tasks["b"].cancel()
        await clock.advance(1)

    assert played(((0, MIB),), play) == [("c", 0.8125)]


def test_a_new_limit_is_seen_by_those_who_wait_within_a_second() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", CHUNK, CHUNK)
        takers.start("b", CHUNK)
        await clock.advance(0.5)
        takers.pace.change(((0, MIB),), UTC)
        await clock.advance(2)

    # what had come together at 1 KiB/s stays; from 1.0 on it is 1 MiB/s
    a, b = 1 + 63 / 1024, 1 + 127 / 1024
    assert played(((0, KIB),), play) == [("a", 0.0), ("a", a), ("b", b)]


def test_when_a_limit_is_lifted_all_who_wait_go_on() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        for name in "abcd":
            takers.start(name, CHUNK)
        await clock.advance(0.5)
        takers.pace.change((), UTC)
        takers.start("e", MIB)
        await clock.advance(1)

    assert played(((0, KIB),), play) == [
        ("a", 0.0), ("e", 0.5), ("b", 1.0), ("c", 1.0), ("d", 1.0),
    ]  # fmt: skip


def test_a_limit_that_begins_does_not_charge_for_what_came_before() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", 100 * MIB, 100 * MIB)
        await clock.advance(1)
        takers.pace.change(((0, MIB),), UTC)
        takers.start("b", *[CHUNK] * 5)
        await clock.advance(1)

    got = played(((0, None), (600, MIB)), play)
    assert got == [("a", 0.0), ("a", 0.0), *[("b", 1.0)] * 4, ("b", 1.0625)]


def test_the_timetable_goes_by_the_wall_clock_of_its_zone() -> None:
    clock = Clock(datetime(2026, 11, 23, 7, 59, 58, tzinfo=UTC))
    timetable = ((0, None), (480, MIB), (1380, None))
    assert BandwidthLimiter(timetable, clock, UTC).rate() is None
    assert BandwidthLimiter(timetable, clock, timezone(timedelta(hours=1))).rate() == MIB
    clock.time += 2
    assert BandwidthLimiter(timetable, clock, UTC).rate() == MIB


def test_a_rate_begins_at_its_minute() -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", *[CHUNK] * 100)
        await clock.advance(2)  # 07:59:58 + 2 s
        takers.start("b", *[CHUNK] * 5)
        await clock.advance(1)

    got = played(((0, None), (480, MIB), (1380, None)), play)
    assert got == [("a", 0.0)] * 100 + [("b", 2.0)] * 4 + [("b", 2.0625)]


@pytest.mark.parametrize("timetable", [((0, MIB),), ((0, MIB), (720, 2 * MIB))])
def test_a_jump_of_the_wall_clock_does_no_harm(timetable: Any) -> None:
    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", *[CHUNK] * 8)
        await clock.advance(0.1)
        clock.wall -= timedelta(days=3650)
        await clock.advance(0.1)
        clock.wall += timedelta(days=9999)
        await clock.advance(1)

    times = [0.0] * 4 + [0.0625, 0.125, 0.1875, 0.25]
    assert played(timetable, play) == [("a", when) for when in times]


def test_one_rate_all_day_needs_no_look_at_the_wall_clock() -> None:
    clock = Clock()
    pace = BandwidthLimiter(((0, MIB),), clock, UTC)
    for _ in range(100):
        clock.time += 2
        assert steps(pace.take(CHUNK)) == 0
    assert clock.asked == 1


def test_a_timetable_is_looked_at_once_a_second_at_most() -> None:
    clock = Clock()
    pace = BandwidthLimiter(((0, MIB), (600, None)), clock, UTC)
    for _ in range(100):
        clock.time += 0.125
        assert steps(pace.take(1024)) == 0
    assert clock.asked == 13


def test_nobody_sleeps_longer_than_a_second() -> None:
    clock = Clock()

    async def play(takers: Takers, clock: Clock) -> None:
        takers.start("a", CHUNK, CHUNK)
        await clock.advance(64)

    assert played(((0, KIB),), play, clock) == [("a", 0.0), ("a", 64.0)]
    assert clock.slept == [1.0] * 64
