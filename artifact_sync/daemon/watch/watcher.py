"""Watches the mirror's files while that is configured; restarts after failures."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from artifact_sync.daemon.watch.filesystem import (
    FLOOD,
    TreeWatcher,
    Unwatchable,
    below_root,
    failure_of,
    is_deep,
    survey,
    survey_added,
)
from artifact_sync.daemon.watch.inspector import DamageInspector
from artifact_sync.daemon.watch.repair import DamageRepair
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.domain.status import WatchState
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.tasks import first_of
from artifact_sync.runtime.threads import Offload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from artifact_sync.daemon.engine import Engine
    from artifact_sync.daemon.scheduler import Scheduler
    from artifact_sync.daemon.watch.filesystem import WatchFailure
    from artifact_sync.domain.model import MirrorPath
    from artifact_sync.domain.ports import Clock
    from artifact_sync.sync.verify import Auditor

_log = get_logger(__name__)

_CHECK = 5.0
"""Seconds between two checks that the mirror is still there."""

_PROBE = 60.0
"""Seconds between two checks that new folders can still be watched."""

_STEADY = 60.0
"""Seconds that a watch must last before its next failure is logged again."""

_PAUSE_FACTOR = 9.0
"""A restart waits so many times as long as the last start took."""


class MirrorWatch:
    """Watches until cancelled. ``open_tree`` gets a folder, and whether all below it counts."""

    def __init__(
        self,
        auditor: Auditor,
        clock: Clock,
        root: Path,
        listener: DamageRepair,
        open_tree: Callable[[str, bool], TreeWatcher] = TreeWatcher,
    ) -> None:
        self._auditor = auditor
        self._clock = clock
        self._root = root
        self._listener = listener
        self._open = open_tree
        self._inspector = DamageInspector(auditor, listener)
        self.working = False
        """Whether changes are seen now."""
        self.why = "the watch has not begun yet"
        """Why it does not work."""
        self._grown = False
        """Something, perhaps a folder, was added since the last check that folders can be."""
        self._logged_failure = ""
        self._down = False
        """Whether the log says that there is no watch."""
        self._transient: set[str] = set()
        """Transient failures that were logged."""
        self._started_at: float | None = None
        self._start_took = 0.0
        """Seconds."""

    @property
    def counts(self) -> tuple[int, int]:
        """Files found damaged, and those of them that are right again."""
        return self._inspector.damaged, self._inspector.restored

    def repair_began(self, paths: Iterable[MirrorPath]) -> None:
        """Report these files again when they are damaged from now on."""
        self._inspector.repair_began(paths)

    async def run(self) -> None:
        """Watch, inspect and report; a failure is logged once and the watch started again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._inspector.run())
            group.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            try:
                await self._watch_once()
            except Exception as error:  # noqa: BLE001 - a daemon goes on without its watch
                await self._failed(failure_of(error))

    async def _watch_once(self) -> None:
        """Watch until that fails, and raise why."""
        offload = self._auditor.offload
        await offload(self._auditor.mirror.check)
        root = await offload(os.path.realpath, self._root)
        self._inspector.set_root(root, (await offload(survey, root)).links)
        tasks = [asyncio.create_task(self._receive(root)), asyncio.create_task(self._check(root))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        raise next(it for it in ended if isinstance(it, Exception))

    async def _receive(self, root: str) -> None:
        """Receive changes from the system, on a thread that mostly waits."""
        stop = threading.Event()
        with ThreadPoolExecutor(1, thread_name_prefix="watch") as executor:
            offload = Offload(executor)
            began = self._clock.monotonic()
            tree = await offload(self._open, root, True)  # noqa: FBT003 - a callable is called
            self._start_took = self._clock.monotonic() - began
            try:
                self._started()
                while True:
                    waiting = offload.start(_next, tree, root, stop)
                    # its error is retrieved even when we are cancelled
                    waiting.add_done_callback(lambda it: it.cancelled() or it.exception())
                    await asyncio.wait([waiting])
                    touched, problem = waiting.result()
                    self._take(touched)
                    if problem is not None:
                        raise problem
            finally:
                stop.set()
                await offload(tree.close)

    def _started(self) -> None:
        if self._down:
            _log.warning("the mirror is watched again")
        elif self._started_at is None:
            _log.info("the mirror is watched", root=str(self._root))
        self.working, self.why, self._grown, self._down = True, "", False, False
        self._started_at = self._clock.monotonic()
        self._listener.may_have_missed()

    def _take(self, touched: Mapping[str, bool]) -> None:
        for path, deep in touched.items():
            self._inspector.touch(path, deep=deep)
        self._grown = self._grown or any(touched.values())
        if len(touched) >= FLOOD:
            _log.info("very many changes at once in the mirror: some may have gone unseen")
            self._listener.may_have_missed()

    async def _check(self, root: str) -> None:
        """Raise when the mirror is gone, or new folders cannot be watched any more.

        The system reports neither: a folder that it cannot watch is just silent.
        """
        clock, offload = self._clock, self._auditor.offload
        probed = clock.monotonic()
        while True:
            await clock.sleep(_CHECK)
            await offload(self._auditor.mirror.check)
            if self._grown and clock.monotonic() - probed >= _PROBE:
                self._grown, probed = False, clock.monotonic()
                await offload(self._probe, os.path.join(root, OWN_FOLDER))  # noqa: PTH118 - it is text

    def _probe(self, folder: str) -> None:
        self._open(folder, False).close()  # noqa: FBT003 - a callable is called

    async def _failed(self, failure: WatchFailure) -> None:
        """Log a failure, once, and wait until it is time to try again."""
        lasted = self._clock.monotonic() - (self._started_at or 0.0)
        steady = self.working and lasted >= _STEADY
        self.working, self.why = False, failure.why
        if failure.transient:
            self._log_restart(failure)
        elif steady or failure.why != self._logged_failure:
            self._logged_failure, self._down = failure.why, True
            text = "the mirror cannot be watched; each pass looks at its newest files instead"
            _log.warning(text, why=failure.why)
        # A start blocks the process: it must not happen all the time.
        await self._clock.sleep(max(failure.retry_in, _PAUSE_FACTOR * self._start_took))

    def _log_restart(self, failure: WatchFailure) -> None:
        """Log a restart as a warning once: what was missed is looked for."""
        log = _log.debug if failure.why in self._transient else _log.warning
        self._transient.add(failure.why)
        log("the watch over the mirror begins anew", why=failure.why)


def _next(
    tree: TreeWatcher, root: str, stop: threading.Event
) -> tuple[dict[str, bool], Exception | None]:
    """The next changed paths, and whether with all below them; none at ``stop``. Blocking.

    The exception says why the tree may not be watched any longer.
    """
    touched: dict[str, bool] = {}
    while not touched and not stop.is_set():
        changes = tree.next(stop)
        for change, path in changes:
            below = below_root(path, root)
            if below is not None:
                touched[below] = is_deep(change) or touched.get(below, False)
        try:
            survey_added(root, {path for change, path in changes if is_deep(change)})
        except Unwatchable as error:
            return touched, error
    return touched, None


class WatchSwitch:
    """Runs a watch over the mirror as ``mirror.watch`` says, also when that changes."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self._engine = engine
        self._root = root
        self._watch: MirrorWatch | None = None
        self._changed = asyncio.Event()

    @property
    def state(self) -> WatchState:
        """The watch's part of the status."""
        if self._watch is None:
            return WatchState()
        damaged, restored = self._watch.counts
        return WatchState(
            mode=self._engine.config.mirror.watch,
            working=self._watch.working,
            why=self._watch.why,
            damaged=damaged,
            restored=restored,
        )

    def must_look(self) -> bool:
        """Whether passes must check files, because the watch does not work."""
        return self._watch is not None and not self._watch.working

    def config_changed(self) -> None:
        """Follow ``mirror.watch``, which may have changed."""
        self._changed.set()

    async def run(self, scheduler: Scheduler) -> None:
        """Watch whenever it is configured, until cancelled. Repairs go through the scheduler."""
        engine, auditor = self._engine, scheduler.auditor
        repair = DamageRepair(engine, scheduler, self._repair_began, self._restores)
        while True:
            wanted = engine.config.mirror.watch != "off"
            watch = MirrorWatch(auditor, engine.clock, self._root, repair) if wanted else None
            self._watch = watch
            await first_of(self._until_switched(), *([watch.run()] if watch is not None else []))

    def _restores(self) -> bool:
        return self._engine.config.mirror.watch == "restore"

    def _repair_began(self, paths: Sequence[MirrorPath]) -> None:
        if self._watch is not None:
            self._watch.repair_began(paths)

    async def _until_switched(self) -> None:
        """Wait until a watch must be started or ended. ``report`` and ``restore`` share one."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._watch is None or self._engine.config.mirror.watch == "off":
                return
