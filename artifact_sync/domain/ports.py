"""The seams: a Protocol for each part of the outside world, with its contract in words.

Every adapter of a seam runs the same contract suite in ``tests/contracts``. What an adapter raises
is from ``artifact_sync.domain.errors``; a library's own exceptions never pass a seam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Collection,
        Iterator,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from artifact_sync.domain.errors import ArtifactSyncError
    from artifact_sync.domain.model import (
        ArtifactKey,
        ArtifactRow,
        ExpectedFile,
        Failure,
        Found,
        Horizon,
        Link,
        Mirrored,
        MirrorPath,
        RepoName,
        Run,
        RunKey,
        RunPage,
        RunRow,
        RunScope,
        StagedContent,
        State,
        Totals,
        Validator,
    )
    from artifact_sync.domain.report import Report


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> datetime:
        """The wall clock, in UTC with a time zone. May jump."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellable."""


class Source(Protocol):
    """The service's API. Reads only. Retries, rate limit and credentials are the adapter's.

    Raises ``CredentialsRefused``, ``NotFound``, ``Unreachable`` (after the retry budget) and
    ``BadAnswer``. Safe to call from many tasks at once.
    """

    def repositories(self, org: str) -> AsyncGenerator[RepoName]:
        """Every repository of an organisation, page by page."""

    def runs(self, repo: RepoName, known: str = "") -> AsyncGenerator[RunPage]:
        """The list of runs, a page at a time as the service orders them; may be abandoned early.

        A page may be empty. A page token that comes a second time ends in ``BadAnswer``. When the
        first page has the ``known`` digest, it comes as ``unchanged`` and ends the list.
        """

    async def run(self, key: RunKey) -> Run:
        """One run with its artifacts and their links. Parts that make no sense are ``problems``.

        A link is empty where the run's answer has none: ``links`` asks the cubes for those.
        """

    async def links(
        self, key: RunKey, wanted: Collection[ArtifactKey]
    ) -> Mapping[ArtifactKey, Link]:
        """Fresh links of a run: one request for the run, plus one a cube whose links it lacks.

        The answer may hold more than is wanted, and lacks what has no link. One cube's error does
        not fail the others: what it would have given is missing from the answer.
        """


Chunk = bytes | memoryview
"""A piece of a body. What a view shows never changes, and is there as long as the view."""

Framing = Literal["length", "chunked", "close"]
"""How a body's end is marked: by its length, by the transfer coding, or only by the close."""


class Opened(Struct, frozen=True):
    """An answer whose body is still to come."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names; several lines of one name are joined with ``, ``."""
    framing: Framing
    chunks: AsyncIterator[Chunk]
    """The body as it comes, with no content coding undone. Raises ``Cut`` when it ends before its
    announced length or last chunk, ``Stalled`` when no byte comes in time."""


class Fetcher(Protocol):
    """Opens links. Sends no credentials but the link itself, and the link byte for byte.

    Follows redirects within a small bound, never from https to http. Does not retry.
    """

    def open(
        self,
        link: Link,
        offset: int = 0,
        validator: Validator | None = None,
        last: int | None = None,
    ) -> AbstractAsyncContextManager[Opened]:
        """Open a link; with an offset, ask for the rest by ``Range`` and ``If-Range``.

        With an offset and ``last`` ask for no more than the bytes up to that one, inclusive.

        Any status is an answer, to be judged by the caller. Raises ``HostUnreachable``,
        ``Stalled``, ``Cut``, ``BadResponse`` (not HTTP, oversized headers), ``RefusedResponse``
        (a redirect that must not be followed) and ``LinkUnusable`` (not an http or https URL).
        """


class ArtifactStore(Protocol):
    """The files of a mirror, by their paths. Every kind of mirror is one.

    Blocking calls, to be made off the event loop; safe from many threads. Two processes never
    change one repository at once: see ``RepositoryLock``. A path is followed through no symbolic
    link. What is absent is an answer, never an error. Every verb may be called again after an error
    or a crash; the caller decides whether. Raises ``UnsafePath``, ``NoSpace`` and ``DiskError``;
    above all ``MirrorGone``, with nothing done, while the mirror is not the one that was opened.
    """

    def check(self) -> None:
        """Raise ``MirrorGone`` or ``DiskError`` when it is not there as it was opened. Cheap."""

    def find(self, path: MirrorPath) -> Found | None:
        """What stands there, or None. A path through something that is no folder is None."""

    def sizes(self, paths: Collection[MirrorPath]) -> Mapping[MirrorPath, int]:
        """The sizes of those of these paths at which a regular file stands.

        As ``find`` for each of them tells, but many beside each other are looked at in one go.
        """

    def publish(
        self, files: Sequence[tuple[StagedContent, MirrorPath]]
    ) -> Sequence[str | ArtifactSyncError | None]:
        """Put complete files into their places, each durable and atomic: all of it or nothing.

        The outcomes in order: None; where a stranger in the way has been kept, under
        ``.artifact-sync/displaced/``; or the error, which is no other file's. A file of the same
        content is no stranger. With ``durability = "full"`` file and name survive a power cut when
        this returns. A staged file is gone afterwards, and stays after an error. One that is gone
        was published before a crash if its content stands there. Files of one folder are cheapest
        beside each other.
        """

    def read(self, path: MirrorPath) -> bytes | None:
        """The content of a small file, such as a manifest; None when no regular file is there."""

    def replace(self, content: bytes, path: MirrorPath) -> None:
        """Write a manifest, durable and atomic, over what it was before. No file is displaced."""

    def remove(self, paths: Sequence[MirrorPath], folder: MirrorPath | None = None) -> None:
        """Remove files, durable when this returns; the order among them is not promised.

        With ``folder``, which holds them all, also the folders that this leaves empty, that one
        included. Whatever is no regular file stays, and so does a folder with anything in it. Fine
        for what is not there; after an error or a crash the same call finishes the work.
        """

    def digest(
        self, path: MirrorPath, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        """Size and SHA-256 (hex) of the file's bytes as they are now, or None when not a file.

        ``stop`` is asked between blocks; once it says so, the answer is None, too.
        """

    def files(
        self, below: MirrorPath, *, skip: Collection[MirrorPath] = ()
    ) -> Iterator[MirrorPath]:
        """Everything below a folder but folders, ordered as text, lazily; may be abandoned.

        Not in ``skip`` nor below it, nor in ``.artifact-sync``. Empty ``below``: the whole mirror.
        """


class Displacement(Protocol):
    """Ability of a mirror: moves what is in the way. Blocking; raises as ``ArtifactStore``."""

    def displace(self, path: MirrorPath) -> str | None:
        """Move what stands there to ``.artifact-sync/displaced/``; its new place, or None.

        Durable and atomic, and never over anything that is kept there.
        """


class LatestPointer(Protocol):
    """Ability of a mirror: names for the newest runs. Blocking; raises as ``ArtifactStore``.

    Both verbs are atomic and may be called again.
    """

    def point(self, link: MirrorPath, target: MirrorPath) -> None:
        """Point a symbolic link of ours (``latest``) at a sibling folder.

        Something there that is no symbolic link is displaced. Left out, with one line in the log,
        where the platform has no symbolic links.
        """

    def unpoint(self, link: MirrorPath) -> None:
        """Remove a symbolic link of ours; what is no symbolic link is left alone."""


class FreeSpace(Protocol):
    """Ability of a mirror: knows how much fits. Blocking; raises as ``ArtifactStore``."""

    def free(self) -> int:
        """Bytes that this user may still write."""


class OwnWrites(Protocol):
    """Ability of a mirror: tells this process's changes from others', for a watch. Blocking."""

    def wrote(self, path: str) -> bool:
        """Whether this process has lately put there, or removed from there, what it finds now.

        A look, without reading the file. False says nothing: of some of its doings it knows none.
        """


class WatchedMirror(ArtifactStore, Displacement, FreeSpace, OwnWrites, Protocol):
    """What a daemon that watches and repairs a mirror needs of it."""


class Lease(Protocol):
    """The right to work on a repository, held until it is given back or lost."""

    async def lost(self) -> None:
        """Return once it is held no more though nobody gave it back; else never.

        Whoever holds it waits for this beside the work, and then breaks the work off at once.
        """


class RepositoryLock(Protocol):
    """Exclusion: who changes a repository's files, or what the ledger says of them, holds it.

    For all processes that work on the mirror, not for those that only read. Repositories do not
    exclude each other.
    """

    def hold(self, repo: RepoName, *, wait: bool = True) -> AbstractAsyncContextManager[Lease]:
        """Hold a repository to the end of the block.

        Waits while somebody has it, first come, first served; without ``wait`` it raises
        ``RepositoryBusy`` instead. Given back on every way out of the block. A waiter may be
        cancelled. Who holds it and asks again waits for ever.
        """


class MirrorClaims(Protocol):
    """Which mirror the ledger is about."""

    async def claim_layout(self, template: str) -> str:
        """The layout that this mirror is laid out by; the first caller's is remembered."""

    async def claim_mirror(self, mirror: str) -> str:
        """The id of the mirror that all this is about; the first caller's is remembered."""

    async def mirror(self) -> str | None:
        """The id that was claimed; None: none yet. Claims nothing."""


class DiscoveryLedger(Protocol):
    """What is known of a repository's list of runs, and whether it must be read."""

    async def horizon(self, repo: RepoName) -> Horizon | None:
        """How much of the list of runs is known completely; None: nothing."""

    async def raise_horizon(self, repo: RepoName, horizon: Horizon) -> None:
        """Remember that a listing has come through.

        High and since are only ever raised; ``falling`` is as it is told last.
        """

    async def list_digest(self, repo: RepoName) -> tuple[str, datetime] | None:
        """The digest that ``note_list_digest`` was told last, and when, as long as it holds."""

    async def note_list_digest(self, repo: RepoName, digest: str, at: datetime) -> None:
        """A list of runs whose first page has this digest says nothing that is not known.

        The digest is forgotten, in the same commit, once ``note_runs`` brings something new, or
        ``note_run`` another status.
        """

    async def note_runs(self, runs: Sequence[Run], at: datetime) -> None:
        """Insert or update runs from a listing, seen at this time (one group).

        A run whose fingerprint changed is unsettled again and its count of looks starts over.
        """

    async def next_look(self, scope: RunScope) -> datetime | None:
        """When the first of the runs that are not settled for the selection is due.

        Long ago when one is due at once; None when all are settled. Same meaning of ``since`` as in
        ``unsettled``: what no pass looks at is never due.
        """


class RunLedger(Protocol):
    """Runs: what they are, and whether anything is left to do for them."""

    async def note_run(self, run: Run, at: datetime) -> None:
        """Insert or update a run from its own answer, seen at this time.

        The fingerprint of a known run is left alone: answers may tell more dates than listings.
        """

    async def run(self, key: RunKey) -> RunRow | None:
        """One run."""

    def runs(self, repo: RepoName) -> AsyncGenerator[RunRow]:
        """Every run of a repository, newest number first, in bounded batches."""

    def unsettled(self, scope: RunScope) -> AsyncGenerator[RunRow]:
        """Runs not settled for this selection, created at or after ``since`` or at an unknown time.

        Newest number first, in bounded batches; runs may be settled while it is read.
        """

    async def settle(self, key: RunKey, selection: str, kept: int | None) -> None:
        """Nothing is left to do for the run under this selection.

        ``kept``: how many selected artifacts of it are present, for ``settled_totals``; None when
        the selection leaves the whole run out, which then counts nowhere.
        """

    async def look_again(self, key: RunKey, at: datetime) -> None:
        """The run was looked at and something is outstanding: count the look, due again then."""

    async def unsettle(self, key: RunKey) -> None:
        """The run needs a look at once: a file of it is missing from the mirror."""

    async def mark_complete(self, key: RunKey, *, complete: bool) -> None:
        """Whether the run's manifest stands: everything selected of it is present."""

    async def newest_complete(self, repo: RepoName) -> tuple[RunKey | None, RunKey | None]:
        """The complete runs with the highest number: of any status, and with status success."""


class ArtifactLedger(Protocol):
    """Artifacts and their files."""

    async def artifacts(self, key: RunKey) -> Mapping[ArtifactKey, ArtifactRow]:
        """All that is known of a run's artifacts."""

    async def record_mirrored(self, mirrored: Mirrored) -> None:
        """The file is durable under its name. Clears attempts and the last error."""

    async def record_states(
        self, rows: Sequence[tuple[ArtifactKey, State, str]], at: datetime
    ) -> None:
        """Artifacts, their states (WANTED, PENDING, ...) and the service's version texts.

        ``first_seen`` and ``attempts`` of a known artifact are kept.
        """

    async def record_failure(
        self, key: ArtifactKey, state: State, failure: Failure, at: datetime
    ) -> None:
        """A pass could not fetch it: state FAILED, GONE or REFUSED, attempts + 1, the reason.

        What is known of a file that was mirrored before (path, size, sha256) is kept.
        """

    async def forget(self, keys: Sequence[ArtifactKey]) -> None:
        """Drop rows of artifacts that are selected no more and have no file."""

    async def pruning(self, keys: Sequence[ArtifactKey]) -> None:
        """The files of these artifacts are about to be removed: state PRUNING.

        To be committed before the first file is touched. What is known of the files is kept, and
        they count as mirrored no more. Keys that nobody knows are fine.
        """

    async def pruned(self, keys: Sequence[ArtifactKey]) -> None:
        """The files of these artifacts are removed, durably: state PRUNED, to be said last."""

    async def being_pruned(self, repo: RepoName) -> Sequence[ArtifactRow]:
        """What is PRUNING: a crash came between ``pruning`` and ``pruned``.

        Removing their files once more and saying ``pruned`` finishes it.
        """

    async def recent(self, repo: RepoName, limit: int) -> Sequence[ExpectedFile]:
        """Up to ``limit`` mirrored artifacts of the newest runs, the newest run's first."""

    def mirrored(
        self, repo: RepoName | None = None, run: str | None = None
    ) -> AsyncGenerator[ArtifactRow]:
        """Every mirrored artifact in the scope, ordered by path, in bounded batches."""

    def at(self, path: str) -> AsyncGenerator[ArtifactRow]:
        """The mirrored artifacts with this path or below it, by path, in bounded batches.

        Any text will do: it need not be a path that a layout makes.
        """

    def listing(
        self, repo: RepoName | None = None, run: str | None = None
    ) -> AsyncGenerator[ArtifactRow]:
        """Every artifact in the scope, of every state, newest run first, in bounded batches."""

    async def unwell(self, scope: RunScope) -> Sequence[ArtifactRow]:
        """Artifacts FAILED, GONE or REFUSED in runs that are settled for the selection.

        Same meaning of ``since`` as in ``unsettled``. They still count as failures in every pass,
        but not those of a run that the selection leaves out (``settle`` with ``kept`` None).
        """


class PassLedger(Protocol):
    """Passes over repositories."""

    async def begin_pass(self, repo: RepoName, at: datetime) -> int:
        """A pass over a repository begins; its number."""

    async def end_pass(self, number: int, report: Report, at: datetime) -> None:
        """The pass has ended with this result for its repository."""


class TotalsLedger(Protocol):
    """Counts, answered from what each run's row says."""

    async def settled_totals(self, scope: RunScope) -> tuple[int, int]:
        """Over the runs settled for the selection: how many runs, and the sum of their ``kept``."""

    async def repositories(self) -> Sequence[RepoName]:
        """Every repository that the ledger knows, sorted."""

    async def totals(self, repo: RepoName) -> Totals:
        """Counts for ``status``."""

    async def all_totals(self) -> Sequence[Totals]:
        """``totals`` of every repository that the ledger knows, sorted; as dear as those of one."""


class LedgerHealth(Protocol):
    """Whether the ledger answers, and how large it is."""

    async def ping(self) -> None:
        """Return once the ledger has answered a trivial question."""

    async def size(self) -> int | None:
        """Bytes that it takes on disk; None when it is not a file of this machine."""


class Ledger(
    MirrorClaims,
    DiscoveryLedger,
    RunLedger,
    ArtifactLedger,
    PassLedger,
    TotalsLedger,
    LedgerHealth,
    Protocol,
):
    """What we know, durable: all of it, for whoever assembles.

    Domain verbs, safe from many tasks at once, never blocking the loop. A verb that writes returns
    when what it wrote is committed (writes are committed in groups). Raises ``LedgerTooNew`` on
    opening, ``LedgerUnreachable`` of a server, ``NoSpace`` and ``DiskError`` on writing.
    """

    async def aclose(self) -> None:
        """Commit what is queued and close. May be called twice."""
