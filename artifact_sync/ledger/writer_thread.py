"""The ledger's own thread, which commits writes in groups.

A group is what has queued up while the thread was busy with the one before. So a lone write waits
for nothing, and a burst of small files costs a commit a group. (Waiting some milliseconds more for
larger groups was measured: fewer commits, and fewer files a second.)
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from functools import partial
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from artifact_sync.domain.errors import DiskError
from artifact_sync.ledger.queries.transaction import demand_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from artifact_sync.ledger.drivers.store import Store
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection

    _Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]
    """Whose, and its result or its error."""

_T = TypeVar("_T")
_Item = TypeVar("_Item")

_LARGEST = 256
"""Commands of a group, so that none waits long for its neighbours."""


class _Write(Struct, frozen=True, eq=False):
    """An item for a verb. Neighbours with one verb are written by one call of it."""

    future: asyncio.Future[Any]
    verb: Callable[[Transaction, Sequence[Any]], Any]
    item: Any = None
    fence: int | None = None
    """The key of the advisory lock without which it must not be committed."""


class _Read(Struct, frozen=True, eq=False):
    """Something to be read. Neighbours read from one state of the ledger."""

    future: asyncio.Future[Any]
    work: Callable[[Connection], Any]


class _Use(Struct, frozen=True, eq=False):
    """Something else to be done with the store."""

    future: asyncio.Future[Any]
    work: Callable[[Store], Any]


_Command = _Write | _Read | _Use
_Kind = TypeVar("_Kind", _Write, _Read)


class WriterThread:
    """A thread that executes commands on a store, in order, until stopped.

    A caller that is cancelled while it waits has asked all the same: what it asked for is done.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self.fence: Callable[[], int] | None = None
        """Tells the fence of what is asked for now."""
        self._open_store = open_store
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Command] = SimpleQueue()
        self._left: list[Any] = []
        """What was taken from the queue, and is still to be carried out."""
        self._opened: asyncio.Future[Store] = self._loop.create_future()
        self._stopped: asyncio.Future[None] | None = None
        # a daemon: a program that dies without closing its ledger must not hang
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    async def start(self) -> None:
        """Open the store; raises what that raises."""
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._opened.add_done_callback(lambda opened: opened.exception())
            self._ask_to_stop()
            raise
        except BaseException:
            self._thread.join()  # it has ended, but for its last step
            raise

    async def write(self, work: Callable[[Transaction], _T]) -> _T:
        """Do this and commit it; returns once it is committed."""
        written: _T = await self._write(lambda transaction, _: work(transaction), None)
        return written

    async def record(
        self, verb: Callable[[Transaction, Sequence[_Item]], None], item: _Item
    ) -> None:
        """The same for a verb that takes many items at once."""
        await self._write(verb, item)

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Read, after everything asked for before has been written."""
        found: _T = await self._ask(_Read, work)
        return found

    async def use(self, work: Callable[[Store], _T]) -> _T:
        """Do something else with the store, after everything asked for before."""
        done: _T = await self._ask(_Use, work)
        return done

    async def stop(self) -> None:
        """Carry out what is queued, and close the store."""
        await asyncio.shield(self._ask_to_stop())
        self._thread.join()

    def _ask_to_stop(self) -> asyncio.Future[None]:
        if self._stopped is None:
            self._stopped = self._loop.create_future()
            self._queue.put(_Use(self._stopped, lambda store: store.close()))
        return self._stopped

    async def _write(self, verb: Callable[[Transaction, Sequence[Any]], Any], item: Any) -> Any:
        fence = self.fence() if self.fence is not None else None
        return await self._ask(_Write, verb, item, fence)

    async def _ask(self, kind: Callable[..., _Command], *what: Any) -> Any:
        if self._stopped is not None:
            raise RuntimeError("the ledger is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(kind(future, *what))
        return await future

    # What follows is the thread's.

    def _run(self) -> None:
        store = self._answer(self._opened, self._open_store)
        how: Mapping[Any, Any] = {_Write: self._commit_all, _Read: self._read, _Use: self._use}
        while store is not None:
            self._left = [list(alike) for _, alike in groupby(self._gather(), type)]
            while self._left:
                some, *self._left = self._left
                how[type(some[0])](store, some)
                if some[-1].future is self._stopped:
                    return

    def _has_more(self) -> bool:
        """Whether other commands wait already."""
        return bool(self._left) or not self._queue.empty()

    def _gather(self) -> Sequence[_Command]:
        """The next commands: at least one, and all that are there."""
        commands = [self._queue.get()]
        with suppress(Empty):
            while len(commands) < _LARGEST:
                commands.append(self._queue.get_nowait())
        return commands

    def _read(self, store: Store, reads: Sequence[_Read]) -> None:
        """Read from one state. What cannot be read fails alone; a sick disk fails them all."""
        try:
            results = store.read(lambda it: [one.work(it) for one in reads], self._has_more)
        except Exception as error:  # noqa: BLE001 - the callers are waiting for it
            self._failed(reads, error, lambda it: self._read(store, [it]))
        else:
            self._tell([(it.future, told, None) for it, told in zip(reads, results, strict=True)])

    def _failed(
        self, commands: Sequence[_Kind], error: Exception, alone: Callable[[_Kind], None]
    ) -> None:
        """Tell why these commands failed, or try each alone."""
        if len(commands) > 1 and not isinstance(error, DiskError):
            for command in commands:
                alone(command)
            return
        self._tell([(it.future, None, _another(error)) for it in commands])

    def _use(self, store: Store, uses: Sequence[_Use]) -> None:
        for use in uses:
            self._answer(use.future, partial(use.work, store))

    def _answer(self, future: asyncio.Future[Any], work: Callable[[], _T]) -> _T | None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - the caller is waiting for it
            self._tell([(future, None, error)])
            return None
        self._tell([(future, result, None)])
        return result

    def _commit_all(self, store: Store, writes: Sequence[_Write]) -> None:
        for _, some in groupby(writes, lambda write: write.fence):
            self._commit(store, list(some))

    def _commit(self, store: Store, writes: Sequence[_Write]) -> None:
        """Commit a group of one fence.

        One that cannot be done fails alone; a sick disk fails them all.
        """
        alike = [list(some) for _, some in groupby(writes, lambda write: write.verb)]
        works = [_call(some) for some in alike]
        if (fence := writes[0].fence) is not None:
            works.append(partial(demand_lock, key=fence))
        try:
            results = store.commit(works)
        except Exception as error:  # noqa: BLE001 - the callers are waiting for it
            self._failed(writes, error, lambda it: self._commit(store, [it]))
        else:
            pairs = zip(alike, results[: len(alike)], strict=True)
            self._tell([(write.future, it, None) for some, it in pairs for write in some])

    def _tell(self, outcomes: Sequence[_Outcome]) -> None:
        """Wake the callers up, all at once; they are gone if their loop is."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_resolve, outcomes)


def _call(alike: Sequence[_Write]) -> Callable[[Transaction], Any]:
    return lambda transaction: alike[0].verb(transaction, [write.item for write in alike])


def _another(error: Exception) -> Exception:
    """The same error for another caller: raising writes into it."""
    copied = type(error).__new__(type(error), *error.args)
    copied.__dict__.update(error.__dict__)
    copied.__cause__ = error.__cause__
    return copied


def _resolve(outcomes: Sequence[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
