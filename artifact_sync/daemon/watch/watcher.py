"""The watch over the mirror's files: hears of changes, and goes on or begins anew for ever.

What a change means is found out by ``judge``; the system's part is in ``sight``.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from artifact_sync.daemon.watch.filesystem import (
    FLOOD,
    SystemSight,
    Unwatchable,
    is_deep,
    survey,
    survey_added,
    trouble_of,
)
from artifact_sync.daemon.watch.inspector import DamageInspector
from artifact_sync.daemon.watch.rules import below_root
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.domain.status import WatchState
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.threads import Offload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Literal

    from artifact_sync.daemon.watch.filesystem import TreeWatcher, Trouble
    from artifact_sync.daemon.watch.inspector import WatchParts
    from artifact_sync.domain.model import MirrorPath

_log = get_logger(__name__)

_CHECK = 5.0
"""Seconds between two looks at whether the mirror is still there."""

_PROBE = 60.0
"""Seconds between two looks at whether new folders can still be watched."""

_STEADY = 60.0
"""Seconds that a watch must last for its next trouble to be worth a line in the log again."""

_SHARE = 9.0
"""A watch that has to begin anew waits so many times as long as beginning has taken."""


class MirrorWatch:
    """Watches until it is cancelled. ``mode`` is only shown: acting is for whoever is told.

    ``open_sight`` is called with a folder, and whether with all below it; it is for tests.
    """

    def __init__(
        self,
        parts: WatchParts,
        mode: Literal["report", "restore"],
        open_sight: Callable[[str, bool], TreeWatcher] = SystemSight,
    ) -> None:
        self.mode = mode
        self._parts = parts
        self._open = open_sight
        self._judge = DamageInspector(parts)
        self._working = False
        self._grown = False
        """Something was added, which may be a folder, since it was last found that one can be."""
        self._why = "the watch has not begun yet"
        self._said = ""
        self._down = False
        """It was said that there is no watch."""
        self._odd: set[str] = set()
        """Passing troubles that were told."""
        self._began: float | None = None
        self._beginning = 0.0
        """Seconds that it has taken to begin."""

    @property
    def state(self) -> WatchState:
        """As it is told."""
        return WatchState(
            mode=self.mode,
            working=self._working,
            why=self._why,
            damaged=self._judge.damaged,
            restored=self._judge.restored,
        )

    def attended(self, paths: Iterable[MirrorPath]) -> None:
        """The repair of these has begun: damage from now on is told again."""
        self._judge.attended(paths)

    async def run(self) -> None:
        """Watch, judge and tell; whatever goes wrong is said once and tried again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._judge.run())
            group.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            try:
                await self._watch_once()
            except Exception as error:  # noqa: BLE001 - a daemon goes on without its watch
                await self._stopped(trouble_of(error))

    async def _watch_once(self) -> None:
        """Watch until that is not possible any more, and raise why."""
        offload = self._parts.auditor.offload
        await offload(self._parts.auditor.mirror.check)
        root = await offload(os.path.realpath, self._parts.root)
        self._judge.learn(root, (await offload(survey, root)).links)
        tasks = [asyncio.create_task(self._hear(root)), asyncio.create_task(self._guard(root))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        raise next(it for it in ended if isinstance(it, Exception))

    async def _hear(self, root: str) -> None:
        """Take what the system tells, on a thread of its own: it waits there most of the time."""
        stop = threading.Event()
        with ThreadPoolExecutor(1, thread_name_prefix="watch") as executor:
            offload = Offload(executor)
            began = self._parts.clock.monotonic()
            sight = await offload(self._open, root, True)  # noqa: FBT003 - a callable is called
            self._beginning = self._parts.clock.monotonic() - began
            try:
                self._started()
                while True:
                    waiting = offload.start(_next, sight, root, stop)
                    # its error is taken note of even when we are cancelled meanwhile
                    waiting.add_done_callback(lambda it: it.cancelled() or it.exception())
                    await asyncio.wait([waiting])
                    touched, trouble = waiting.result()
                    self._take(touched)
                    if trouble is not None:
                        raise trouble
            finally:
                stop.set()
                await offload(sight.close)

    def _started(self) -> None:
        if self._down:
            _log.warning("the mirror is watched again")
        elif self._began is None:
            _log.info("the mirror is watched", root=str(self._parts.root))
        self._working, self._why, self._grown, self._down = True, "", False, False
        self._began = self._parts.clock.monotonic()
        self._parts.missed()

    def _take(self, touched: Mapping[str, bool]) -> None:
        for path, deep in touched.items():
            self._judge.touch(path, deep=deep)
        self._grown = self._grown or any(touched.values())
        if len(touched) >= FLOOD:
            _log.info("very many changes at once in the mirror: some may have gone unseen")
            self._parts.missed()

    async def _guard(self, root: str) -> None:
        """Raise when the mirror is gone, and when new folders cannot be watched any more.

        The system tells of neither: of a folder that it could not watch it just says nothing.
        """
        clock, offload = self._parts.clock, self._parts.auditor.offload
        probed = clock.monotonic()
        while True:
            await clock.sleep(_CHECK)
            await offload(self._parts.auditor.mirror.check)
            if self._grown and clock.monotonic() - probed >= _PROBE:
                self._grown, probed = False, clock.monotonic()
                await offload(self._probe, os.path.join(root, OWN_FOLDER))  # noqa: PTH118 - it is text

    def _probe(self, folder: str) -> None:
        self._open(folder, False).close()  # noqa: FBT003 - a callable is called

    async def _stopped(self, trouble: Trouble) -> None:
        """Say so, once, and wait until it is worth another try."""
        clock = self._parts.clock
        lasted = clock.monotonic() - (self._began or 0.0)
        steady = self._working and lasted >= _STEADY
        self._working, self._why = False, trouble.why
        if trouble.brief:
            self._begin_anew(trouble)
        elif steady or trouble.why != self._said:
            self._said, self._down = trouble.why, True
            text = "the mirror cannot be watched; each pass looks at its newest files instead"
            _log.warning(text, why=trouble.why)
        # Beginning stops everything else, however often somebody has it happen.
        await clock.sleep(max(trouble.again, _SHARE * self._beginning))

    def _begin_anew(self, trouble: Trouble) -> None:
        """It is no news but once: what went unseen is looked for."""
        say = _log.debug if trouble.why in self._odd else _log.warning
        self._odd.add(trouble.why)
        say("the watch over the mirror begins anew", why=trouble.why)


def _next(
    sight: TreeWatcher, root: str, stop: threading.Event
) -> tuple[dict[str, bool], Exception | None]:
    """What is touched next, and whether with all below it; nothing at ``stop``. Blocking.

    Beside it why the tree may be watched no longer.
    """
    touched: dict[str, bool] = {}
    while not touched and not stop.is_set():
        changes = sight.next(stop)
        for change, path in changes:
            below = below_root(path, root)
            if below is not None:
                touched[below] = is_deep(change) or touched.get(below, False)
        try:
            survey_added(root, {path for change, path in changes if is_deep(change)})
        except Unwatchable as error:
            return touched, error
    return touched, None
