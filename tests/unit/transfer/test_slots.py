from __future__ import annotations

import asyncio

from artifact_sync.transfer.slots import Share, SlotLease, Slots


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_has_waited_longest_is_next() -> None:
    async def story() -> list[str]:
        slots, taken = Slots(1), []

        async def take(name: str) -> None:
            await slots.acquire()
            taken.append(name)

        await slots.acquire()
        waiting = [asyncio.ensure_future(take(name)) for name in "abc"]
        await _settle()
        assert taken == []
        for _ in range(3):
            slots.release()
            await _settle()
        await asyncio.gather(*waiting)
        return taken

    assert asyncio.run(story()) == ["a", "b", "c"]


def test_fewer_slots_count_as_soon_as_enough_are_given_back_and_more_at_once() -> None:
    async def story() -> list[bool]:
        slots = Slots(2)
        await slots.acquire()
        await slots.acquire()
        slots.resize(1)
        waiting = asyncio.ensure_future(slots.acquire())
        await _settle()
        seen = [waiting.done()]
        slots.release()
        await _settle()
        seen.append(waiting.done())
        slots.resize(2)
        await _settle()
        return [*seen, waiting.done()]

    assert asyncio.run(story()) == [False, False, True]


def test_who_stops_waiting_leaves_the_slot_to_the_others() -> None:
    async def story() -> bool:
        slots = Slots(1)
        await slots.acquire()
        first, second = (asyncio.ensure_future(slots.acquire()) for _ in range(2))
        await _settle()
        first.cancel()
        slots.release()
        await _settle()
        third = asyncio.ensure_future(slots.acquire())
        second_has_it = second.done()
        slots.release()
        await _settle()
        return first.cancelled() and second_has_it and third.done()

    assert asyncio.run(story())


def test_a_slot_that_is_given_in_the_moment_of_a_cancellation_is_not_lost() -> None:
    async def story() -> bool:
        slots = Slots(1)
        await slots.acquire()
        waiting = asyncio.ensure_future(slots.acquire())
        await _settle()
        slots.release()  # given to the one who waits, who has not run yet
        waiting.cancel()
        await _settle()
        await asyncio.wait_for(slots.acquire(), 5)
        return waiting.cancelled()

    assert asyncio.run(story())


def test_a_pass_leaves_some_slots_to_the_others() -> None:
    async def story() -> list[bool]:
        slots = Slots(4)
        greedy, other = Share(slots, 3), Share(slots, 3)
        for _ in range(3):
            await greedy.acquire()
        fourth = asyncio.ensure_future(greedy.acquire())
        await asyncio.wait_for(other.acquire(), 5)
        await _settle()
        seen = [fourth.done()]
        greedy.release()
        await _settle()
        return [*seen, fourth.done()]

    assert asyncio.run(story()) == [False, True]


def test_a_slot_is_taken_without_waiting_only_while_one_is_free() -> None:
    async def story() -> list[bool]:
        slots = Slots(2)
        seen = [slots.try_acquire() for _ in range(3)]
        slots.release()
        waiting = asyncio.ensure_future(slots.acquire())
        await _settle()
        return [*seen, slots.try_acquire(), waiting.done()]

    assert asyncio.run(story()) == [True, True, False, False, True]


def test_who_waited_in_vain_is_in_nobodys_way() -> None:
    async def story() -> bool:
        slots = Slots(1)
        await slots.acquire()
        waiting = asyncio.ensure_future(slots.acquire())
        await _settle()
        waiting.cancel()
        slots.release()
        return slots.try_acquire()

    assert asyncio.run(story())


def test_one_slot_more_is_within_the_share_and_given_back_by_itself() -> None:
    async def story() -> list[bool]:
        slots = Slots(4)
        share = Share(slots, 2)
        hold = SlotLease(share)
        await hold.take()
        more = hold.another()
        assert more is not None
        seen = [hold.another() is None]
        more.give()
        more.give()  # does no harm
        rest = [slots.try_acquire() for _ in range(3)]
        seen += [*rest, hold.another() is None]  # all are taken, though not by this share
        slots.release()
        return [*seen, hold.another() is not None]

    assert asyncio.run(story()) == [True, True, True, True, True, True]
