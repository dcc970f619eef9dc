"""What vanishes first is looked at first, whoever asks first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from artifact_sync.domain.vanishing import urgency
from artifact_sync.sync.urgency import Listings, LookSlots, RepoTurn

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_what_is_there_comes_before_what_nobody_knows_and_what_has_vanished() -> None:
    moments = [NOW + timedelta(days=days) for days in (1, 2, 0, -1, -2)]
    ordered = [*moments[:2], None, *moments[2:]]
    assert sorted([*moments, None], key=lambda at: urgency(at, NOW)) == ordered


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=8).map(sorted), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_slots_go_to_the_most_urgent_of_all_queues(queues: list[list[int]], most: int) -> None:
    async def story() -> list[float]:
        slots, taken = LookSlots(most), list[float]()

        async def repository(ages: list[int]) -> None:
            with slots.queue() as slot:
                for age in ages:
                    await asyncio.sleep(0)  # a ledger takes a while to name the next one
                    await slot((0, age))
                    taken.append(age)
                    asyncio.get_running_loop().call_soon(slots.release)

        async with asyncio.TaskGroup() as group:
            for ages in queues:
                group.create_task(repository(ages))
        return taken

    assert asyncio.run(story()) == sorted(age for ages in queues for age in ages)


def test_a_waiter_that_is_cancelled_takes_no_slot() -> None:
    async def story() -> None:
        slots = LookSlots(1)

        async def wait(age: float) -> None:
            with slots.queue() as slot:
                await slot((0, age))

        await wait(1.0)
        waiting = asyncio.ensure_future(wait(0.0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        slots.release()
        await asyncio.wait_for(wait(2.0), 5)

    asyncio.run(story())


def test_nobody_looks_before_the_last_list_is_there_and_few_are_read_at_once() -> None:
    async def story() -> list[str]:
        listings, slots, seen = Listings(), asyncio.Semaphore(1), list[str]()

        async def repository(name: str, turn: RepoTurn) -> None:
            async with turn:
                seen.append(f"list {name}")
                await turn.to_look()
                seen.append(f"look {name}")

        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(repository(name, RepoTurn(slots, listings)))
            listings.came()
        return seen

    seen = asyncio.run(story())
    assert seen[:3] == ["list a", "list b", "list c"]
    assert sorted(seen[3:]) == ["look a", "look b", "look c"]


def test_who_stops_waits_for_no_list() -> None:
    async def story() -> None:
        listings, stopped = Listings(), asyncio.Event()
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(listings.watch(stopped.wait()))
            group.create_task(listings.wait())
            stopped.set()

    asyncio.run(story())
