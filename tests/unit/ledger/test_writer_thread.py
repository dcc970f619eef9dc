from __future__ import annotations

import asyncio
import threading

import pytest

from artifact_sync.domain.errors import DiskError, NoSpace
from artifact_sync.ledger.writer_thread import WriterThread


class ScriptedStore:
    """Stands in for a ``Store``: remembers its groups, and holds the first back until told."""

    def __init__(self):
        self.groups = []
        self.closed = False
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.full = False
        self.more = []

    def commit(self, works):
        self.began.set()
        assert self.go_on.wait(10)
        if self.full:
            raise NoSpace("full")
        told = [work(self) for work in works]
        self.groups.append(told)
        return told

    def read(self, work, more):
        self.more.append(more())
        return work(self)

    def close(self):
        self.closed = True


def play(story):
    async def main():
        store = ScriptedStore()
        worker = WriterThread(lambda: store)
        await worker.start()
        try:
            await story(store, worker)
        finally:
            store.go_on.set()
            await worker.stop()
        assert store.closed

    asyncio.run(main())


async def held_back(store, worker):
    """A first write that the store has begun and not ended."""
    first = asyncio.create_task(worker.write(lambda _: 0))
    await asyncio.to_thread(store.began.wait, 10)
    return first


def broken(_):
    raise ValueError("no good")


def several(_, items):
    if "bad" in items:
        raise ValueError("no good")


def test_what_comes_while_a_group_is_committed_is_the_next_group():
    async def story(store, worker):
        first = await held_back(store, worker)
        rest = [asyncio.create_task(worker.write(lambda _, n=n: n)) for n in range(1, 51)]
        await asyncio.sleep(0)
        assert not first.done()
        store.go_on.set()
        assert await asyncio.gather(first, *rest) == list(range(51))
        assert [len(group) for group in store.groups] == [1, 50]

    play(story)


def test_a_group_has_a_greatest_size():
    async def story(store, worker):
        first = await held_back(store, worker)
        rest = [asyncio.create_task(worker.write(lambda _: 0)) for _ in range(300)]
        await asyncio.sleep(0)
        store.go_on.set()
        await asyncio.gather(first, *rest)
        assert [len(group) for group in store.groups] == [1, 256, 44]

    play(story)


def test_a_read_sees_what_was_asked_to_be_written_before():
    async def story(store, worker):
        first = await held_back(store, worker)
        write = asyncio.create_task(worker.write(lambda _: 1))
        await asyncio.sleep(0)
        read = asyncio.create_task(worker.read(lambda it: list(it.groups)))
        last = asyncio.create_task(worker.write(lambda _: 2))
        await asyncio.sleep(0)
        store.go_on.set()
        assert await read == [[0], [1]]
        assert await asyncio.gather(first, write, last) == [0, 1, 2]
        await worker.read(lambda _: None)
        assert store.more == [True, False]

    play(story)


def test_neighbours_alike_are_one_call():
    async def story(store, worker):
        first = await held_back(store, worker)
        calls = []

        def verb(_, items):
            calls.append(list(items))

        rest = [asyncio.create_task(worker.record(verb, n)) for n in range(3)]
        rest.append(asyncio.create_task(worker.write(lambda _: None)))
        rest.append(asyncio.create_task(worker.record(verb, 3)))
        await asyncio.sleep(0)
        store.go_on.set()
        assert await asyncio.gather(first, *rest) == [0, None, None, None, None, None]
        assert calls == [[0, 1, 2], [3]]

    play(story)


def test_one_that_is_broken_fails_alone():
    async def story(store, worker):
        first = await held_back(store, worker)
        rest = [worker.write(lambda _: 1), worker.write(broken), worker.record(several, "good")]
        rest += [worker.record(several, "bad"), worker.record(several, "fine")]
        gathered = asyncio.gather(first, *rest, return_exceptions=True)
        await asyncio.sleep(0)
        store.go_on.set()
        results = await gathered
        assert [str(result) for result in results] == [
            "0",
            "1",
            "no good",
            "None",
            "no good",
            "None",
        ]
        assert store.groups == [[0], [1], [None], [None]]

    play(story)


def test_a_sick_disk_fails_the_whole_group_at_once_and_the_next_one_is_tried():
    async def story(store, worker):
        store.full = True
        store.go_on.set()
        results = await asyncio.gather(
            *(worker.write(lambda _: 1) for _ in range(5)), return_exceptions=True
        )
        assert {type(result) for result in results} == {NoSpace}
        assert len({id(result) for result in results}) == 5
        store.full = False
        assert await worker.write(lambda _: 2) == 2

    play(story)


def test_a_cancelled_caller_does_not_disturb_its_group():
    async def story(store, worker):
        first = await held_back(store, worker)
        rest = [asyncio.create_task(worker.write(lambda _, n=n: n)) for n in range(1, 4)]
        await asyncio.sleep(0)
        rest[1].cancel()
        store.go_on.set()
        assert await asyncio.gather(first, rest[0], rest[2]) == [0, 1, 3]
        assert store.groups == [[0], [1, 2, 3]]

    play(story)


def test_a_store_that_cannot_be_opened_says_so_to_who_opens_it():
    def no_store():
        raise DiskError("no disk")

    async def main():
        with pytest.raises(DiskError, match="no disk"):
            await WriterThread(no_store).start()

    asyncio.run(main())


def test_the_thread_ends_with_the_worker():
    async def story(_store, worker):
        assert worker._thread.is_alive()

    before = threading.active_count()
    play(story)
    assert threading.active_count() == before
