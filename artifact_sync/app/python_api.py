"""The Python interface, which ``artifact_sync`` re-exports: ``Mirror`` and ``mirror_artifacts``.

It runs the same pass as the command line. It prints nothing, configures no logging and handles no
signals.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from msgspec.structs import replace

from artifact_sync.app.assemble_pass import open_pass
from artifact_sync.app.examination import opened_examination
from artifact_sync.app.listing import listed_of
from artifact_sync.app.locations import has_ledger, nothing_mirrored, refuse_in_store, root_of
from artifact_sync.app.python_values import (
    ArtifactOptions,
    MirroredArtifact,
    MirroredRun,
    SyncOptions,
    Verification,
    VerifyOptions,
    bounds_of,
    listing_terms_of,
    mirrored_artifact,
    mirrored_run,
    overrides_of,
    verification_of,
)
from artifact_sync.app.selection import (
    Overrides,
    checked_names,
    request_of,
    with_overrides,
)
from artifact_sync.app.storage import open_storage
from artifact_sync.config import load, locate, repository
from artifact_sync.config.api_token import given_token, read_token
from artifact_sync.config.urls import base_url as checked_base_url
from artifact_sync.config.urls import is_object_url
from artifact_sync.daemon.control.client import DaemonClient, NoDaemon
from artifact_sync.domain.errors import MirrorBusy, UsageError
from artifact_sync.domain.settings import OWN_FOLDER
from artifact_sync.mirror.layout import layout_problems
from artifact_sync.sync.failures import failures_of

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from artifact_sync.app.examination import Examination
    from artifact_sync.config.api_token import Token
    from artifact_sync.domain.events import Event, Observer
    from artifact_sync.domain.model import RepoName
    from artifact_sync.domain.ports import Ledger
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import PassRequest
    from artifact_sync.domain.settings import Config
    from artifact_sync.sync.sync_pass import Pass

T = TypeVar("T")
OnEvent = Callable[["Event"], None]


async def mirror_artifacts(
    *repos: str,
    root: str | Path,
    token: str | None = None,
    base_url: str | None = None,
    on_event: OnEvent | None = None,
    **options: Unpack[SyncOptions],
) -> Report:
    """Mirror the artifacts of repositories once: ``Mirror(root, …).sync(*repos, …)``."""
    async with Mirror(root, token=token, base_url=base_url, on_event=on_event) as mirror:
        return await mirror.sync(*repos, **options)


class Mirror:
    """A mirror. Enter it with ``async with`` and use it on that event loop.

    Reading needs neither token nor network, and works beside a daemon. Passes of one ``Mirror``
    take turns. All errors are of ``artifact_sync.domain.errors``.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        config: str | Path | None = None,
        token: str | None = None,
        base_url: str | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        """Read the configuration; open nothing yet. ``ConfigError``, ``UsageError``.

        ``config`` is a TOML file, None: only defaults. The variables ``ARTIFACT_SYNC_…`` go before
        it, arguments before both. Without ``token`` it is the configured one, or
        ``$SOURCECRAFT_TOKEN``. ``on_event`` is called on the event loop with each event of
        ``artifact_sync.domain.events`` and must return at once. An exception that it raises stops
        the pass and comes out of it.
        """
        file = Path(config) if config is not None else None
        self._config = _configured(file, root, base_url)
        refuse_in_store(self._config, "the Python API")
        self._root = root_of(self._config)
        self._given_token = token
        self._on_event = on_event
        self._session: _Session | None = None

    @classmethod
    def from_config(
        cls,
        path: str | Path | None = None,
        *,
        token: str | None = None,
        on_event: OnEvent | None = None,
    ) -> Self:
        """Open a configuration file; None: the one that the command line uses."""
        found = locate(Path(path) if path is not None else None, os.environ)
        return cls(config=found, token=token, on_event=on_event)

    async def __aenter__(self) -> Self:
        if self._session is not None:
            raise UsageError("this Mirror is in use already: make another one")
        self._session = _Session(self._config)
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()

    async def sync(self, *repos: str, **options: Unpack[SyncOptions]) -> Report:
        """Mirror ``org/repo`` or ``org/*`` once; without a name, what is configured.

        What fails within the pass is in ``Report.failures``. Raises what keeps it from beginning:
        ``UsageError``, ``MirrorBusy``, ``DiskError``. When it is cancelled, it stops in order:
        what has come is kept, and the next pass goes on with it. A daemon that holds the mirror
        runs the pass with its own token and limits, and goes on when this is cancelled.
        """
        session = self._entered()
        request = request_of(self._config, overrides_of(repos, options), os.environ)
        begin = partial(_pass, self._config, request, self._token())
        async with session.turn:
            return await _observed(self._on_event, begin)

    async def verify(
        self, *repos: str, repair: bool = False, **bounds: Unpack[VerifyOptions]
    ) -> Verification:
        """Hash the files of some repositories, or all, and compare the ledger.

        ``repair``: fetch what is missing or changed again, by the same pass. Without it, no token
        and no lock is needed. ``bounds``: look only at what was verified longest ago, and not at
        manifests nor for files that nobody recorded. ``UsageError``: nothing of that is mirrored.
        """
        within = bounds_of(bounds)
        session, names = self._entered(), tuple(checked_names(repos))
        if not await asyncio.to_thread(has_ledger, self._config):
            raise UsageError(nothing_mirrored(self._config))
        token = self._token() if repair else None
        opened = opened_examination(self._config, names, repair=repair, bounds=within)
        begin = partial(_verification, opened, self._config, token, repair=repair)
        async with session.turn:
            return await _observed(self._on_event, begin)

    async def runs(
        self, repo: str | None = None, *, status: str | None = None
    ) -> AsyncGenerator[MirroredRun]:
        """List the known runs of a repository, or of all, newest first."""
        async for ledger, each in self._entered().repositories(repo):
            async with aclosing(ledger.runs(each)) as rows:
                async for row in rows:
                    if status in {None, row.status}:
                        yield mirrored_run(row)

    async def artifacts(
        self, repo: str | None = None, **options: Unpack[ArtifactOptions]
    ) -> AsyncGenerator[MirroredArtifact]:
        """List the files of a repository, or of all, newest run first.

        Reads the ledger; ``verify`` looks at the files.
        """
        terms = listing_terms_of(options)
        async for ledger, each in self._entered().repositories(repo):
            async with aclosing(listed_of(ledger, [each], terms)) as rows:
                async for row in rows:
                    yield mirrored_artifact(row, self._root)

    def _entered(self) -> _Session:
        if self._session is None:
            raise UsageError("this Mirror is not entered: async with Mirror(…) as mirror")
        self._session.check()
        return self._session

    def _token(self) -> Token | None:
        if self._given_token is not None:
            return given_token(self._given_token)
        return read_token(self._config.source, os.environ)


class _Session:
    """What an entered ``Mirror`` holds: its event loop, whose turn it is, the ledger to read."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self.turn = asyncio.Lock()
        """Held by the pass that is under way."""
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._ledger: Ledger | None = None

    def check(self) -> None:
        """``UsageError`` on another event loop."""
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError("this Mirror was entered on another event loop: make one for each")

    async def repositories(self, name: str | None) -> AsyncGenerator[tuple[Ledger, RepoName]]:
        """The ledger and the repositories that the name selects; None: all."""
        checked = repository(name, {}).name if name is not None else None
        ledger = await self._opened()
        if ledger is None:
            return
        for repo in await ledger.repositories():
            if checked in {None, str(repo), f"{repo.org}/*"}:
                yield ledger, repo

    async def _opened(self) -> Ledger | None:
        """The ledger, opened once, to be read; None where nothing is mirrored yet."""
        async with self._opening:
            if self._ledger is None and await asyncio.to_thread(has_ledger, self._config):
                opening = open_storage(self._config, rehearse=True)
                self._ledger = (await self._stack.enter_async_context(opening)).ledger
        return self._ledger

    async def aclose(self) -> None:
        """Close, behind a pass that is under way."""
        async with self.turn, self._opening:
            await self._stack.aclose()


class _Callback:
    """An observer that calls a function. When that raises, it stops the pass."""

    def __init__(self, call: OnEvent) -> None:
        self._call = call
        self.error: Exception | None = None
        self.work: asyncio.Task[Any] | None = None
        """The pass."""

    def notify(self, event: Event) -> None:
        """Call the function, but not again once it has raised."""
        if self.error is not None:
            return
        try:
            self._call(event)
        except Exception as error:  # noqa: BLE001 - raised to the caller of the pass
            self.error = error
            if self.work is not None:
                self.work.cancel()


async def _observed(
    on_event: OnEvent | None, begin: Callable[[Observer], Coroutine[Any, Any, T]]
) -> T:
    """Run a pass in a task of its own, so that ``on_event`` can stop it."""
    observer = _Callback(on_event or (lambda _: None))
    observer.work = work = asyncio.create_task(begin(observer))
    try:
        return await work
    finally:
        if observer.error is not None:
            raise observer.error from None


async def _pass(
    config: Config, request: PassRequest, token: Token | None, observer: Observer
) -> Report:
    """Run a pass; its report, also when it breaks off. Raises what keeps it from beginning.

    A daemon that holds the mirror runs it instead.
    """
    begun: list[Pass] = []
    try:
        async with open_pass(config, request, observer, token) as one_pass:
            begun.append(one_pass)
            await one_pass.run()
    except MirrorBusy as busy:
        return await _delegated(config, request, observer, busy)
    except Exception as error:
        if not begun:
            raise
        report = begun[0].report
        report.failures += failures_of(error)
        return report
    return begun[0].report


async def _delegated(
    config: Config, request: PassRequest, observer: Observer, busy: MirrorBusy
) -> Report:
    """Have the daemon run a pass; ``busy`` where there is none."""
    client = DaemonClient(busy.root / OWN_FOLDER)
    try:
        return await client.sync(request, config.source.base_url, observer)
    except NoDaemon:
        raise busy from None


async def _verification(
    opened: AbstractAsyncContextManager[Examination],
    config: Config,
    token: Token | None,
    observer: Observer,
    *,
    repair: bool,
) -> Verification:
    """Verify a mirror, and repair it if so wished: by the daemon that holds it, if one does."""
    async with opened as examination:
        async for _ in examination.look():
            pass
        if repair:
            try:
                await examination.repair(config, observer, token)
            except Exception as error:  # noqa: BLE001 - the report tells it
                examination.report.failures += failures_of(error)
    return verification_of(examination, root_of(config))


def _configured(file: Path | None, root: str | Path | None, base_url: str | None) -> Config:
    """The configuration; the arguments go before the environment, and that before the file."""
    config = load(file, os.environ, layout_problems).config
    if root == "":
        raise UsageError("root is empty: name the mirror's folder")
    if is_object_url(str(root)):
        raise UsageError(
            "root: the Python API needs a mirror in a folder, and this one is an address"
        )
    overrides = Overrides(root=Path(root) if root is not None else None)
    config = with_overrides(config, overrides)
    if base_url is None:
        return config
    try:
        source = replace(config.source, base_url=checked_base_url(base_url))
    except ValueError as error:
        raise UsageError(f"base_url: {error}") from None
    return replace(config, source=source)
