"""The ledger's own thread, which commits writes in groups.

A group is what has queued up while the thread was busy with the one before. So a lone write waits
for nothing, and a burst of small files costs a commit a group. (Waiting some milliseconds more for
larger groups was measured: fewer commits, and fewer files a second.)
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from copy import copy
from functools import partial
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from artifact_sync.domain.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from artifact_sync.ledger.drivers.store import Store
    from artifact_sync.ledger.queries.transaction import Transaction
    from artifact_sync.ledger.sql.connection import Connection

_T = TypeVar("_T")
_Item = TypeVar("_Item")

_LARGEST = 256
"""Commands of a group, so that none waits long for its neighbours."""


class Write(Struct, frozen=True, eq=False):
    """Something to be written."""

    future: asyncio.Future[Any]
    work: Callable[[Transaction], Any]


class Record(Struct, frozen=True, eq=False):
    """One of many alike, to be written by one call together with its neighbours."""

    future: asyncio.Future[Any]
    verb: Callable[[Transaction, Sequence[Any]], None]
    item: Any


class Read(Struct, frozen=True, eq=False):
    """Something to be read."""

    future: asyncio.Future[Any]
    work: Callable[[Connection], Any]


class Stop(Struct, frozen=True, eq=False):
    """Nothing comes behind this."""

    future: asyncio.Future[Any]


Command = Write | Record | Read | Stop


class WriterThread:
    """A thread that executes commands on a store, in order, until stopped.

    A caller that is cancelled while it waits has asked all the same: what it asked for is done.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Command] = SimpleQueue()
        self._opened: asyncio.Future[None] = self._loop.create_future()
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
        written: _T = await self._ask(lambda future: Write(future, work))
        return written

    async def record(
        self, verb: Callable[[Transaction, Sequence[_Item]], None], item: _Item
    ) -> None:
        """The same for a verb that takes many items at once."""
        await self._ask(lambda future: Record(future, verb, item))

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Read, after everything asked for before has been written."""
        told: _T = await self._ask(lambda future: Read(future, work))
        return told

    async def stop(self) -> None:
        """Carry out what is queued, and close the store."""
        await asyncio.shield(self._ask_to_stop())
        self._thread.join()

    def _ask_to_stop(self) -> asyncio.Future[None]:
        if self._stopped is None:
            self._stopped = self._loop.create_future()
            self._queue.put(Stop(self._stopped))
        return self._stopped

    async def _ask(self, command: Callable[[asyncio.Future[Any]], Command]) -> Any:
        if self._stopped is not None:
            raise RuntimeError("the ledger is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(command(future))
        return await future

    def _run(self) -> None:
        """The thread."""
        try:
            store = self._open_store()
        except BaseException as error:  # noqa: BLE001 - the opener is waiting for it
            self._tell([partial(_fail, self._opened, error)])
        else:
            self._tell([partial(_succeed, self._opened, None)])
            _Committer(store, self._tell).serve(self._queue)

    def _tell(self, outcomes: Sequence[Callable[[], None]]) -> None:
        """Wake the callers up; they are gone if their loop is."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_all, outcomes)


class _Committer:
    """What the thread does with the commands."""

    def __init__(self, store: Store, tell: Callable[[Sequence[Callable[[], None]]], None]) -> None:
        self._store = store
        self._tell = tell

    def serve(self, queue: SimpleQueue[Command]) -> None:
        while True:
            for kind, commands in groupby(_gather(queue), key=_is_writing):
                if kind:
                    self._commit(list(commands))
                elif self._serve_others(commands):
                    return

    def _serve_others(self, commands: Iterable[Command]) -> bool:
        """Whether that was the end."""
        for command in commands:
            if isinstance(command, Stop):
                self._answer(command, self._store.close)
                return True
            if isinstance(command, Read):
                self._answer(command, partial(self._store.read, command.work))
        return False

    def _answer(self, command: Command, work: Callable[[], Any]) -> None:
        try:
            told = work()
        except Exception as error:  # noqa: BLE001 - the caller is waiting for it
            self._tell([partial(_fail, command.future, error)])
        else:
            self._tell([partial(_succeed, command.future, told)])

    def _commit(self, commands: Sequence[Command]) -> None:
        """Commit a group. One that cannot be done fails alone; a sick disk fails them all."""
        works, members = _works(commands)
        try:
            told = self._store.commit(works)
        except Exception as error:  # noqa: BLE001 - the callers are waiting for it
            if len(commands) == 1 or isinstance(error, DiskError):
                self._tell([partial(_fail, it.future, _another(error)) for it in commands])
            else:
                for command in commands:
                    self._commit([command])
        else:
            self._tell(
                [
                    partial(_succeed, command.future, result)
                    for result, some in zip(told, members, strict=True)
                    for command in some
                ]
            )


def _gather(queue: SimpleQueue[Command]) -> Sequence[Command]:
    """The next commands: at least one, and all that are there."""
    commands = [queue.get()]
    with suppress(Empty):
        while len(commands) < _LARGEST:
            commands.append(queue.get_nowait())
    return commands


def _is_writing(command: Command) -> bool:
    return isinstance(command, Write | Record)


def _works(
    commands: Sequence[Command],
) -> tuple[list[Callable[[Transaction], Any]], list[list[Command]]]:
    """What to do, and for which commands each of it is: neighbours with one verb are one call."""
    works: list[Callable[[Transaction], Any]] = []
    members: list[list[Command]] = []
    for _, group in groupby(commands, key=lambda command: getattr(command, "verb", command)):
        some = list(group)
        members.append(some)
        first = some[0]
        if isinstance(first, Record):
            works.append(_many(first.verb, [it.item for it in some if isinstance(it, Record)]))
        elif isinstance(first, Write):
            works.append(first.work)
    return works, members


def _many(
    verb: Callable[[Transaction, Sequence[Any]], None], items: Sequence[Any]
) -> Callable[[Transaction], None]:
    return lambda transaction: verb(transaction, items)


def _another(error: Exception) -> Exception:
    """The same error for another caller: raising writes into it."""
    copied = copy(error)
    copied.__cause__ = error.__cause__
    return copied


def _all(outcomes: Sequence[Callable[[], None]]) -> None:
    for outcome in outcomes:
        outcome()


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
