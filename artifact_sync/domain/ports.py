"""Protocols of the outside world, with their contracts.

Every adapter of a port runs the same contract suite in ``tests/contracts``. It raises errors of
``artifact_sync.domain.errors`` only, never a library's own exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, tzinfo

    from artifact_sync.domain.archives import (
        Extraction,
        ExtractLimits,
        Unpacked,
        UnpackedEntry,
    )
    from artifact_sync.domain.errors import ArtifactSyncError, DiskError
    from artifact_sync.domain.forget_rules import ForgetRule, ForgetRules, ForgetScope
    from artifact_sync.domain.hooks import Delivery, Subscriptions
    from artifact_sync.domain.jobs import (
        BoardNews,
        Job,
        PastTurn,
        QueueLengths,
        TurnEnd,
        Wake,
        WorkerSeen,
        WorkerSign,
    )
    from artifact_sync.domain.keeping import KeptRun, ListingVerdict, Pin
    from artifact_sync.domain.listing import ArtifactFilter, FailedTry
    from artifact_sync.domain.model import (
        ArchiveFile,
        ArtifactKey,
        ArtifactNote,
        ArtifactRow,
        CubeKey,
        DisplacedFile,
        ExpectedFile,
        Failure,
        FilterNotes,
        Found,
        Horizon,
        Link,
        LogPage,
        Mirrored,
        MirrorPath,
        Placed,
        RepoName,
        Run,
        RunKey,
        RunPage,
        RunRow,
        RunScope,
        SameFile,
        StagedContent,
        State,
        Totals,
        Validator,
    )
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.request import Standing
    from artifact_sync.domain.run_record import RunRecord
    from artifact_sync.domain.settings import Timetable
    from artifact_sync.domain.usage import UsageBy, UsagePart
    from artifact_sync.domain.vanishing import CreationWindow, Endangered


class Clock(Protocol):
    """Wall clock, monotonic clock and sleep, so that tests control time."""

    def now(self) -> datetime:
        """The wall clock, in UTC with a time zone. May jump."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait. Cancellable."""


class Source(Protocol):
    """The service's API, read only.

    The adapter does retries, rate limit and credentials. Raises ``CredentialsRefused``,
    ``NotFound``, ``Unreachable`` (after the retry budget) and ``BadAnswer``. Safe for many tasks at
    once.
    """

    def repositories(self, org: str) -> AsyncGenerator[RepoName]:
        """List the repositories of an organisation, page by page."""

    def runs(self, repo: RepoName, known: str = "") -> AsyncGenerator[RunPage]:
        """List runs by pages, in the service's order; may be abandoned early.

        A page may be empty. A page token that comes a second time ends in ``BadAnswer``. When the
        first page has the ``known`` digest, it comes as ``unchanged`` and ends the list.
        """

    async def run(self, key: RunKey) -> Run:
        """Get a run with its artifacts and their links.

        Unreadable parts become ``problems``. A link is empty where the run's answer has none:
        ``links`` asks the cubes for those.
        """

    async def links(
        self, key: RunKey, wanted: Collection[ArtifactKey]
    ) -> Mapping[ArtifactKey, Link]:
        """Get fresh links of a run: one request, one more a cube without links.

        The answer may hold more than is wanted, and lacks what has no link. An error of one cube
        does not fail the others: its links are missing from the answer.
        """

    async def log_page(self, cube: CubeKey, number: int) -> LogPage:
        """Get a page of a cube's log, counted from 1.

        ``NotFound`` where there is no log, or no such page as yet.
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
    proxy: str = ""
    """The proxy that may have given this answer itself, for messages."""


class Fetcher(Protocol):
    """Opens links byte for byte, and sends no other credentials.

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

        With an offset and ``last``, ask for the bytes up to that one, inclusive.

        Any status is an answer, to be judged by the caller. Raises ``HostUnreachable``,
        ``Stalled``, ``Cut``, ``BadResponse`` (not HTTP, oversized headers), ``RefusedResponse`` (a
        redirect that must not be followed) and ``LinkUnusable`` (not an http or https URL).
        """


class RequestTurns(Protocol):
    """When requests to the service may be sent. On one event loop."""

    async def take(self) -> None:
        """Wait for the next turn of ``source.rate_limit``. Cancellable.

        ``LedgerUnreachable`` when nobody has said for long how many turns there are.
        """

    def hold(self, subject: str, seconds: float) -> None:
        """Tell others that the service asked for a pause.

        ``subject``: a repository or organisation; empty: all requests.
        """

    def held(self, subject: str) -> float:
        """Seconds for which others were asked to wait with a subject.

        As far as is known, and at least 0.
        """


class BandwidthLimit(Protocol):
    """Limits the bytes of all downloads together. On one event loop."""

    async def take(self, count: int) -> None:
        """Wait until so many bytes may pass, first come, first served. Cancellable.

        A cancelled wait has spent nothing. ``LedgerUnreachable`` as ``RequestTurns``.
        """

    def rate(self) -> int | None:
        """The present limit in bytes a second; None: no limit. Thread-safe."""

    def change(self, timetable: Timetable, zone: tzinfo) -> None:
        """Use another timetable; those who wait already follow within a second."""


class SharedLimits(Protocol):
    """The limits that all processes on one mirror keep together."""

    def requests(self, rate: float) -> RequestTurns:
        """This process's turns, of so many a second of all; 0: no limit."""

    def bandwidth(self, timetable: Timetable, zone: tzinfo) -> BandwidthLimit:
        """The limit of this process's downloads."""


class ManifestSigner(Protocol):
    """Signs a run's ``SHA256SUMS`` and checks signatures. Blocking."""

    @property
    def signs(self) -> bool:
        """Whether manifests are signed."""

    def sign(self, content: bytes) -> bytes:
        """The signature of a manifest. ``Unsigned`` where there is none to be had."""

    def check(self, content: bytes, signature: bytes) -> str:
        """Why a signature is wrong; empty: nothing says so.

        ``UsageError`` where that cannot be found out.
        """


class ArtifactStore(Protocol):
    """The files of a mirror, by their paths. Every kind of mirror is one.

    Blocking calls, to be made off the event loop; safe from many threads. Two processes never
    change one repository at once: see ``RepositoryLock``. A path is followed through no symbolic
    link. What is absent is an answer, never an error. Every verb may be called again after an error
    or a crash; the caller decides whether. Raises ``UnsafePath``, ``NoSpace`` and ``DiskError``;
    above all ``MirrorGone``, with nothing done, while the mirror is not the one that was opened.
    """

    @property
    def signer(self) -> ManifestSigner | None:
        """Signs its manifests; None: nobody does, and nobody checks."""

    def check(self, folder: MirrorPath | None = None) -> None:
        """Raise ``MirrorGone`` or ``DiskError`` unless the mirror is as it was opened. Cheap.

        ``folder``: also when nothing can be made there, on a read-only mount or without rights.
        """

    def find(self, path: MirrorPath) -> Found | None:
        """Look at a path; None when it does not exist.

        A path through something that is no folder does not exist.
        """

    def sizes(self, paths: Collection[MirrorPath]) -> Mapping[MirrorPath, int]:
        """Sizes of the regular files among these paths.

        Cheaper than ``find`` for each, if many lie beside each other.
        """

    def publish(
        self, files: Sequence[tuple[StagedContent, MirrorPath]]
    ) -> Sequence[Placed | ArtifactSyncError | None]:
        """Publish complete files, each durably and atomically.

        The outcomes in order; an error concerns that file only. None: it has no data of its own,
        and none of the ``same`` files would do. A file of the same content is not foreign. With
        ``durability = "full"`` file and name survive a power cut when this returns. A staged file
        is gone afterwards, and stays after an error. One that is gone was published before a crash
        if its content exists at the path. Files of one folder are cheapest beside each other.
        """

    def read(self, path: MirrorPath) -> bytes | None:
        """Read a small file, such as a manifest; None: no regular file."""

    def replace(self, content: bytes, path: MirrorPath) -> None:
        """Write a manifest durably and atomically. No file is displaced."""

    def remove(
        self,
        paths: Sequence[MirrorPath],
        folder: MirrorPath | None = None,
        empty: Sequence[MirrorPath] = (),
    ) -> None:
        """Remove files durably. The order among them is not promised.

        With ``folder``, which holds them all, also the folders that this leaves empty, that one
        included, and those of ``empty`` that are. Whatever is no regular file stays, and so does a
        folder with anything in it. Fine for what is not there; after an error or a crash the same
        call finishes the work.
        """

    def spend_reserve(self) -> None:
        """Give up the room in reserve, where the disk is full.

        To be called before files go, of which the ledger is told first.
        """

    def archive_format(self, path: MirrorPath) -> str:
        """What kind of archive a file is; empty: there is no file."""

    def digest(
        self, path: MirrorPath, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        """Hash a file: size and SHA-256 (hex), or None when it is no file.

        ``stop`` is called between blocks; once it returns True, the answer is None, too.
        """

    def vouched(
        self, path: MirrorPath, since: datetime | None, stop: Callable[[], bool] | None = None
    ) -> tuple[int, str] | None:
        """The same, without reading, where the store vouches for what came with the file.

        ``since``: when the file was last known to be right. One that was written later, or that
        nothing vouches for, is read.
        """

    def stands(self, path: MirrorPath, entry: UnpackedEntry) -> bool:
        """Whether a file, a link or a folder is as it was unpacked."""

    def remove_links(self, paths: Sequence[MirrorPath]) -> None:
        """Remove symbolic links durably; whatever else is there stays."""

    def files(
        self, below: MirrorPath, *, skip: Collection[MirrorPath] = ()
    ) -> Iterator[MirrorPath]:
        """List everything below a folder but folders, lazily, ordered as text.

        Leaves out ``skip`` and what is below it, and ``.artifact-sync``. Empty ``below``: the whole
        mirror. May be abandoned.
        """


class Displacement(Protocol):
    """Ability of a mirror: moves foreign files away, and accounts for them.

    Blocking; raises as ``ArtifactStore``.
    """

    def displace(self, path: MirrorPath) -> str | None:
        """Move a path to ``.artifact-sync/displaced/``; return its new place, or None.

        Durable and atomic. Never overwrites what is kept there.
        """

    def displaced(self, below: str = "") -> Iterator[DisplacedFile]:
        """List what has been displaced, the oldest first, lazily.

        ``below``: the file or folder below ``displaced/``; empty: all. Leaves out
        what others have put there. May be abandoned.
        """

    def put_back(self, file: DisplacedFile) -> bool:
        """Move a file back to its path.

        False where something stands there, or the file is gone. Durable and atomic.
        """

    def discard(self, files: Iterable[DisplacedFile]) -> Mapping[DisplacedFile, DiskError]:
        """Remove displaced files for good, and the folders that they leave empty.

        One that cannot be removed holds back no other: it is returned, with why.
        """


class Unpacking(Protocol):
    """Ability of a mirror: unpacks its archives.

    Blocking; raises as ``ArtifactStore``.
    """

    def check_packed(self, path: MirrorPath, name: str) -> None:
        """Raise ``UnsafeArchive`` where nobody can tell what a packed file holds."""

    def unpack(
        self, file: ArchiveFile, limits: ExtractLimits, stop: Callable[[], None], *, keep: bool
    ) -> Unpacked | None:
        """Unpack an archive into staging; without ``keep`` it is only read.

        None: the file is not the one on record. ``UnsafeArchive``, with nothing left of it in
        staging. ``stop`` is called often, and may raise.
        """

    def place_unpacked(self, unpacked: Unpacked, folder: MirrorPath) -> str | None:
        """Give what was unpacked its name, atomically and durably.

        Whatever is in the way is displaced; its new place.
        """

    def drop_unpacked(self, unpacked: Unpacked) -> None:
        """Remove what was unpacked, and has no place."""

    def holds(self, folder: MirrorPath, entries: Sequence[UnpackedEntry]) -> bool:
        """Whether a folder holds exactly these, each as it was unpacked."""


class LatestPointer(Protocol):
    """Ability of a mirror: names for the newest runs.

    Blocking; raises as ``ArtifactStore``. Both verbs are atomic and may be called again.
    """

    def point(self, link: MirrorPath, target: MirrorPath) -> None:
        """Point a symbolic link of ours (``latest``) at a sibling folder.

        Anything else in its place is displaced. Left out, with one line in the log, where the
        platform has no symbolic links.
        """

    def unpoint(self, link: MirrorPath) -> None:
        """Remove a symbolic link of ours; anything else is left alone."""


class FreeSpace(Protocol):
    """Ability of a mirror: knows its free space.

    Blocking; raises as ``ArtifactStore``.
    """

    def free(self) -> int | None:
        """Bytes that this user may still write; None: the file system does not tell."""


class OwnWrites(Protocol):
    """Ability of a mirror: tells this process's changes from others'.

    For a watch. Blocking.
    """

    def wrote(self, path: str) -> bool:
        """Whether this process has recently written or removed what is there now.

        Cheap: the file is not read. False says nothing, because not every write is remembered.
        """


class WatchedMirror(
    ArtifactStore, Displacement, LatestPointer, Unpacking, FreeSpace, OwnWrites, Protocol
):
    """A mirror that a daemon can watch and repair."""

    def uncache(self, path: MirrorPath) -> None:
        """Have a file be read from the disk next time, where the system can."""


class Lease(Protocol):
    """The right to work on a repository, until it is released or lost."""

    async def lost(self) -> None:
        """Return when the lease is lost; never after its release.

        The holder waits for this beside its work, and cancels the work at once.
        """


class RepositoryLock(Protocol):
    """Mutual exclusion of those who change a repository's files or its ledger.

    For all processes that work on the mirror, not for those that only read. Repositories do not
    exclude each other.
    """

    def hold(self, repo: RepoName, *, wait: bool = True) -> AbstractAsyncContextManager[Lease]:
        """Hold a repository within the block.

        Waits while somebody has it, first come, first served; without ``wait`` it raises
        ``RepositoryBusy`` instead. Released on every way out of the block. A waiter may be
        cancelled. Not reentrant: a holder that asks again waits for ever.
        """


class JobQueue(Protocol):
    """Jobs of all workers on one mirror.

    ``LedgerUnreachable`` from every call but ``work``.
    """

    async def defer(self, jobs: Sequence[Job]) -> int:
        """Put jobs into the queue, at once; how many were put.

        Left out is what waits there already: a higher priority counts for it.
        """

    async def work(self, carry_out: Callable[[Job], Awaitable[bool]], slots: int) -> None:
        """Carry out jobs, at most ``slots`` at a time, until it is cancelled.

        Then no job begins any more, and those that have begun are waited for. ``carry_out``
        returns False when a job has to be done later: it goes behind all others. What ends in an
        error is gone. A server that is lost is waited for.
        """

    async def requeue_stalled(self) -> int:
        """Put back the jobs of workers that are silent; how many."""

    async def withdraw(self) -> Sequence[str]:
        """Take back the passes that wait; their repositories. What runs, runs on."""

    async def lengths(self) -> QueueLengths:
        """Count the jobs."""


class TurnBoard(Protocol):
    """What planner and workers tell each other. ``LedgerUnreachable``."""

    async def turns(self) -> Sequence[PastTurn]:
        """The last turn of each repository."""

    async def news(self, wakes_after: int) -> BoardNews:
        """Turns that have ended and not been heard of, and wakes behind a number."""

    async def plan(self, turns: Sequence[PastTurn], wakes: Sequence[int]) -> None:
        """Note that turns begin, and forget the wakes that they serve."""

    async def announce(self, turns: Sequence[PastTurn]) -> None:
        """Note the runs announced for turns that workers have begun by themselves."""

    async def begun_since(self, wakes: Sequence[int]) -> Sequence[PastTurn]:
        """The turns that workers began when these wakes had come."""

    async def lost(self) -> Sequence[str]:
        """Repositories with a turn under way for which there is no job."""

    async def forget(self, repos: Sequence[str]) -> None:
        """Forget repositories that nobody looks after."""

    async def wake(self, wakes: Sequence[Wake]) -> None:
        """Tell the planner of wakes."""

    async def started(self, repo: str) -> tuple[str, ...]:
        """Note that a worker begins a turn; the runs announced since it was planned.

        ``LedgerTooNew``: a newer program has changed what workers and planner tell each other.
        """

    async def ended(self, repo: str, end: TurnEnd) -> None:
        """Note how a turn has ended."""


class WorkerRegistry(Protocol):
    """Who works on the mirror. ``LedgerUnreachable``."""

    async def beat(self, sign: WorkerSign) -> None:
        """Give a sign of life."""

    async def leave(self) -> None:
        """Take it back."""

    async def workers(self) -> Sequence[WorkerSeen]:
        """Those seen lately."""


class MirrorClaims(Protocol):
    """The mirror that a ledger belongs to."""

    async def check_version(self) -> None:
        """Raise ``LedgerTooNew`` when another process has migrated the ledger meanwhile."""

    async def claim_layout(self, template: str) -> str:
        """Claim a layout for the mirror; return the first one that was claimed."""

    async def claim_mirror(self, mirror: str) -> str:
        """Claim a mirror's id; return the first one that was claimed."""

    async def mirror(self) -> str | None:
        """The claimed id; None: none yet. Claims nothing."""


class DiscoveryLedger(Protocol):
    """What is known of a repository's list of runs."""

    async def horizon(self, repo: RepoName) -> Horizon | None:
        """The part of the list that is known completely; None: nothing."""

    async def raise_horizon(self, repo: RepoName, horizon: Horizon) -> None:
        """Record that a listing was read.

        High and since are only ever raised; ``falling`` is replaced.
        """

    async def list_digest(self, repo: RepoName) -> tuple[str, datetime] | None:
        """The digest noted last, and when, as long as it holds."""

    async def note_list_digest(self, repo: RepoName, digest: str, at: datetime) -> None:
        """Record that a list with this digest of its first page holds nothing new.

        The digest is forgotten, in the same commit, once ``note_runs`` brings something new, or
        ``note_run`` another status.
        """

    async def lose_repository(self, repo: RepoName, at: datetime) -> None:
        """Record that a repository is gone upstream, until a listing shows a run."""

    async def count_unusable(self, repo: RepoName, entries: int) -> int:
        """Count a listing with unusable entries; return how many in a row."""

    async def note_runs(self, runs: Sequence[Run], at: datetime) -> None:
        """Insert or update runs from a listing, in one commit.

        A run whose fingerprint changed is unsettled again and its count of looks starts over. One
        of another creation has no status until ``note_run`` or ``begin_anew``.
        """

    async def filter_notes(self, repo: RepoName) -> FilterNotes:
        """What was noted last of the filters of a repository."""

    async def note_filters(self, repo: RepoName, notes: FilterNotes) -> None:
        """Note what the filters were held against, for later passes and for ``totals``."""

    async def next_look(self, scope: RunScope) -> datetime | None:
        """When the first unsettled run is due; None when all are settled.

        Long ago when one is due at once. ``since`` means the same as in ``unsettled``: what no pass
        looks at is never due.
        """


class RunLedger(Protocol):
    """Runs, and whether anything is left to do for them."""

    async def note_run(self, run: Run, at: datetime) -> None:
        """Insert or update a run from its own answer.

        The fingerprint of a known run is left alone: answers may tell more dates than listings.
        A run whose ``record`` is another one than before is unsettled.
        """

    async def forget_run(self, key: RunKey) -> None:
        """Delete a run of which nothing is mirrored. Unknown ones are fine."""

    async def begin_anew(self, run: Run, at: datetime) -> None:
        """Record that another run has the number now, in one commit.

        Its artifacts are not known, whatever was known of the earlier run's. Their files are moved
        away before this is called.
        """

    async def run(self, key: RunKey) -> RunRow | None:
        """Read a run."""

    async def record(self, key: RunKey) -> RunRecord | None:
        """Read what was last told of a run; None: nothing that was kept."""

    def runs(self, repo: RepoName) -> AsyncGenerator[RunRow]:
        """List the runs of a repository, newest number first, in bounded batches."""

    def unsettled(
        self, scope: RunScope, vanished: datetime | None = None
    ) -> AsyncGenerator[RunRow]:
        """List runs that are not settled for a selection.

        Only those created at or after ``since`` or at an unknown time, in the order in which they
        vanish: oldest first, then undated ones; last what was created at ``vanished`` or earlier,
        newest first. In bounded batches; runs may be settled meanwhile.
        """

    async def lose_run(self, key: RunKey, at: datetime) -> None:
        """Record that a run is gone upstream, until it is shown again.

        A listing that shows it again unsettles it. Its artifacts then are gone upstream, too.
        """

    def one_commit(self) -> AbstractAsyncContextManager[None]:
        """Commit what is written in the block at its end, all or nothing.

        Until then a write returns None, and ``record_mirrored`` has no place there. What raises
        ends the block, and nothing of it is written.
        """

    async def mark_noted(self, key: RunKey, *, noted: bool) -> None:
        """Record whether the ledger holds every artifact of the run's last answer."""

    async def settle(self, key: RunKey, selection: str, kept: int | None) -> None:
        """Record that nothing is left to do for a run under a selection.

        ``kept``: how many selected artifacts of it are present, for ``settled_totals``; None when
        the selection leaves the whole run out, which then counts nowhere.
        """

    async def look_again(self, key: RunKey, at: datetime) -> None:
        """Count a look at an unfinished run; the next one is due at ``at``."""

    async def unsettle(self, key: RunKey) -> None:
        """Record that a run needs a look at once: a file is missing."""

    async def mark_complete(self, key: RunKey, *, complete: bool) -> None:
        """Record whether the run's manifest exists: all selected artifacts are present."""

    async def adopt_run(self, run: Run, rows: Sequence[ArtifactRow], at: datetime) -> None:
        """Record a run whose manifest stands, and its files, in one commit.

        The rows are MIRRORED or LOST, or have no file. Whatever is known of the run, and of a file
        that was here or was removed, counts more; what has no file is recorded where it is unknown.
        """

    async def newest_complete(self, repo: RepoName) -> tuple[RunKey | None, RunKey | None]:
        """The complete runs that were created last: any status, and success."""


class ArtifactLedger(Protocol):
    """Artifacts and their files."""

    async def artifacts(self, key: RunKey) -> Mapping[ArtifactKey, ArtifactRow]:
        """Read the artifacts of a run."""

    def each_artifact(self, key: RunKey) -> AsyncGenerator[ArtifactRow]:
        """List a run's artifacts of every state, in some order, in bounded batches."""

    async def record_mirrored(self, mirrored: Mirrored) -> None:
        """Record a file that is durable. Clears attempts and the last error."""

    async def record_states(
        self, rows: Sequence[tuple[ArtifactKey, State, str]], at: datetime
    ) -> None:
        """Record artifacts, their states (WANTED, PENDING, ...) and versions.

        ``first_seen`` and ``attempts`` of a known artifact are kept.
        """

    async def note_artifacts(self, notes: Sequence[ArtifactNote], at: datetime) -> None:
        """Record what is said of artifacts: state, version, wanted, upstream, lost.

        ``first_seen``, ``attempts`` and what is known of a file are kept, and so is since when it
        is gone or lost.
        """

    async def note_verified(self, rows: Sequence[ArtifactRow], at: datetime) -> None:
        """Record that files were found as these rows tell.

        Whatever has been recorded of an artifact since the row was read counts more.
        """

    async def begin_reading(self, rows: Sequence[ArtifactRow], at: datetime) -> None:
        """Record that files are being read, which takes long. As ``note_verified``.

        They are ``broken_off`` until they are verified or mirrored again.
        """

    def least_verified(
        self,
        before: datetime,
        *,
        since: datetime | None = None,
        repos: Collection[RepoName] = (),
        unread: bool = False,
    ) -> AsyncGenerator[ArtifactRow]:
        """List mirrored artifacts verified at or after ``since`` and before a moment.

        What was verified longest ago comes first; what was never verified counts as verified when
        it was mirrored. ``repos``: of these only, else of all; ``unread``, of all only: without
        what is ``broken_off``. In bounded batches; artifacts may be verified meanwhile.
        """

    async def broken_off(self) -> Sequence[ArtifactRow]:
        """Some mirrored artifacts whose reading was not ended, the one begun longest ago first."""

    async def note_lost(self, rows: Sequence[ArtifactRow], at: datetime) -> None:
        """Record that mirrored files were found missing or changed: LOST. As ``note_verified``."""

    async def adopt(self, rows: Sequence[ArtifactRow], at: datetime) -> None:
        """Record that files on record are back as recorded: MIRRORED. As ``note_verified``.

        They count in ``settled_totals`` again, where they are wanted and their run is settled.
        """

    async def record_failure(
        self, key: ArtifactKey, state: State, failure: Failure, at: datetime
    ) -> None:
        """Record a failed fetch: FAILED, GONE, LOST or REFUSED, attempts + 1, the reason.

        GONE and LOST also say that upstream has it no more, and LOST since when. What is known of
        a file that was mirrored before (path, size, sha256) is kept.
        """

    async def forget(self, keys: Sequence[ArtifactKey]) -> None:
        """Delete artifacts that are selected no more and have no file."""

    async def forget_artifacts(self, keys: Sequence[ArtifactKey]) -> None:
        """Record that artifacts are let go: FORGOTTEN, and not wanted.

        What is known of their files is kept. From then on no other verb but ``pruning``,
        ``remember_artifacts`` and ``forget`` changes the state. Unknown keys are ignored.
        """

    async def remember_artifacts(self, states: Sequence[tuple[ArtifactKey, State]]) -> None:
        """Record new states of artifacts that are FORGOTTEN; others stay as they are."""

    async def pruning(self, keys: Sequence[ArtifactKey]) -> None:
        """Record that files are about to be removed: state PRUNING.

        Must be committed before the first file is removed. What is known of the files is kept, and
        they no longer count as mirrored. Unknown keys are ignored.
        """

    async def pruned(self, keys: Sequence[ArtifactKey]) -> None:
        """Record that files are removed durably: state PRUNED. Comes last."""

    async def end_removal(self, keys: Sequence[ArtifactKey], at: datetime) -> None:
        """Record that files are removed durably of what is let go: FORGOTTEN. As ``pruned``.

        What is known of the files is kept: one that is put back can be told from another.
        """

    async def being_pruned(self, repo: RepoName) -> Sequence[ArtifactRow]:
        """List artifacts in PRUNING, left by a crash before ``pruned``.

        Removing their files once more and calling ``pruned`` finishes it.
        """

    async def same_bytes(self, sha256: str) -> Sequence[SameFile]:
        """List a few mirrored files of a SHA-256, those that came last first.

        ``Mirrored.shares`` names the one whose blocks a file shares. Where that is here no more,
        one of those that shared with it is counted in its place.
        """

    async def sharing(self, key: ArtifactKey) -> Sequence[ArtifactRow]:
        """List the other artifacts whose files share their blocks with this one's."""

    async def shared_beyond(self, keys: Sequence[ArtifactKey]) -> int:
        """Count the bytes of mirrored files that are not freed when these are removed.

        Others share their blocks, or several of them the same ones.
        """

    async def shared_beyond_runs(self, runs: Collection[RunKey]) -> int:
        """Count the same for all files of these runs. Takes seconds where millions share."""

    async def recent(self, repo: RepoName, limit: int) -> Sequence[ExpectedFile]:
        """Up to ``limit`` mirrored artifacts of the newest runs, newest first."""

    def mirrored(
        self, repo: RepoName | None = None, run: str | None = None
    ) -> AsyncGenerator[ArtifactRow]:
        """List mirrored artifacts, ordered by path, in bounded batches."""

    def at(self, path: str) -> AsyncGenerator[ArtifactRow]:
        """List mirrored artifacts at a path or below it, in bounded batches.

        Any text is accepted: it need not be a path that a layout makes.
        """

    async def missing(self, repo: RepoName) -> Sequence[ArtifactRow]:
        """List artifacts whose recorded file is missing, newest run first."""

    def missing_at(self, path: str) -> AsyncGenerator[ArtifactRow]:
        """List artifacts at or below a path whose file is missing, in batches."""

    def listing(
        self, repo: RepoName | None = None, run: str | None = None
    ) -> AsyncGenerator[ArtifactRow]:
        """List artifacts of every state, newest run first, in bounded batches."""

    def select(
        self, repos: Sequence[RepoName], wanted: ArtifactFilter
    ) -> AsyncGenerator[ArtifactRow]:
        """List the artifacts of repositories that a filter fits, in bounded batches.

        Where an order, runs or a SHA-256 are asked for, it holds eight bytes for each.
        """

    async def at_path(self, path: str) -> Sequence[ArtifactRow]:
        """List the artifacts of any state that have this very path, or had it."""

    async def failed_tries(self, key: ArtifactKey) -> Sequence[FailedTry]:
        """The last failed tries of an artifact, at most twenty, the oldest first."""

    async def unwell(self, scope: RunScope) -> Sequence[ArtifactRow]:
        """List artifacts FAILED, GONE, REFUSED or LOST in settled runs of a selection.

        They still count as failures in every pass, but not those of a run that the selection leaves
        out (``settle`` with ``kept`` None). ``since`` means the same as in ``unsettled``.
        """


class ExtractionLedger(Protocol):
    """What was unpacked of archives. Unknown keys are ignored."""

    async def note_archives(self, formats: Sequence[tuple[ArtifactKey, str]]) -> None:
        """Note what kind of archive files are."""

    async def unpacked(self, key: ArtifactKey) -> Sequence[UnpackedEntry]:
        """List what an archive has been unpacked to, by path."""

    async def begin_extraction(
        self, key: ArtifactKey, extraction: Extraction, entries: Sequence[UnpackedEntry]
    ) -> None:
        """Record that a folder is about to get its name, in one commit: PUBLISHING.

        In the place of whatever was known of an extraction. Must be committed before the rename.
        """

    async def end_extraction(self, key: ArtifactKey) -> None:
        """Record that the folder has its name: HERE. Its bytes count from now on."""

    async def fail_extraction(self, key: ArtifactKey, extraction: Extraction) -> None:
        """Record that nothing of an archive is unpacked: REFUSED or FAILED."""

    async def drop_extraction(self, key: ArtifactKey) -> None:
        """Forget all that is known of an extraction."""

    async def unfinished_extractions(self, repo: RepoName) -> Sequence[ArtifactRow]:
        """List the archives, here or lost, whose extraction is not HERE."""

    async def extract_terms(self, repo: RepoName) -> str:
        """The rules and limits by which all archives were looked at; empty: none were."""

    async def note_extract_terms(self, repo: RepoName, terms: str) -> None:
        """Note by which rules and limits all archives have been looked at."""


class ForgetLedger(Protocol):
    """What was let go by the mirror's owner."""

    async def forget_rules(self, repo: RepoName) -> ForgetRules:
        """Read the rules of a repository."""

    async def begin_forgetting(self, rule: ForgetRule) -> None:
        """Add a rule, in the place of those that it covers."""

    async def end_forgetting(self, scope: ForgetScope) -> None:
        """Record that all that was known of a scope is forgotten."""

    async def remember(self, scope: ForgetScope) -> None:
        """Take a scope back, and unsettle its runs of which something was forgotten."""

    async def recount(self, key: RunKey) -> None:
        """Count anew how many selected artifacts of a settled run are present.

        One that is not settled is due at once.
        """


class KeepingLedger(Protocol):
    """What decides which runs stay."""

    async def kept_runs(self, repo: RepoName) -> Sequence[KeptRun]:
        """List the runs of which files are on record, in some order."""

    async def removed_runs(self, repo: RepoName) -> Sequence[RunKey]:
        """List the runs of which all artifacts are FORGOTTEN, and no file is here."""

    async def bury(self, key: RunKey) -> None:
        """Drop what is known of the artifacts of one of ``removed_runs``; others stay."""

    async def bytes_on_record(self, repo: RepoName | None) -> int:
        """Sum up the files that are here, of a repository or (None) of all."""

    async def prune_run(self, key: RunKey, at: datetime) -> None:
        """Record that all files of a run are about to be removed: PRUNING.

        In one commit, which comes before the first file is removed. Once ``pruned`` was told of the
        last of them, or at once where there is none, nothing is known of the run's artifacts but
        its ``pruned_at``, until another run has its number (``begin_anew``) or it is taken back
        (``remember``).
        """

    async def pin(self, it: Pin) -> None:
        """Pin a run, or give its pin another reason.

        A complete run is due at once: its ``run.json`` is to follow.
        """

    async def unpin(self, key: RunKey) -> None:
        """Take a pin away; as ``pin``. Fine where there is none."""

    async def pinned(self, key: RunKey) -> Pin | None:
        """The pin of a run; None: it has none."""

    async def pins(self, repo: RepoName | None = None) -> Sequence[Pin]:
        """List pins by repository, the newest run first."""

    async def note_listing(self, repo: RepoName, verdict: ListingVerdict) -> None:
        """Record what the last reading of a list came to."""

    async def listing_verdict(self, repo: RepoName) -> ListingVerdict | None:
        """What the last reading of a list came to; None: nobody has read it."""

    async def unlisted(self, repo: RepoName, since: datetime, at: datetime) -> str | None:
        """A run that a listing left out, and that was seen ``since`` a moment.

        ``at``: when the listing was read. Of those with numbers that the listing went down to, and
        that are not known to be gone.
        """


class PassLedger(Protocol):
    """Passes over repositories."""

    async def begin_pass(self, repo: RepoName, at: datetime) -> int:
        """Record the begin of a pass over a repository; return its number."""

    async def end_pass(self, number: int, report: Report, at: datetime) -> None:
        """Record the result of a pass."""


class TotalsLedger(Protocol):
    """Counts, read from the rows of runs."""

    async def settled_totals(self, scope: RunScope) -> tuple[int, int]:
        """Count the settled runs of a selection, and sum up their ``kept``."""

    async def standing(self, scope: RunScope) -> Standing:
        """Read how a repository stands, in one step. ``LedgerTooNew`` as ``check_version``."""

    async def expired(self, scope: RunScope) -> int:
        """Count the artifacts EXPIRED in settled runs of a selection."""

    async def repositories(self) -> Sequence[RepoName]:
        """List the known repositories, sorted."""

    async def kept_repositories(self, org: str) -> Sequence[RepoName]:
        """List those of an organisation of which more is known than failures, sorted.

        Files are here, lost, removed or let go, or no rule wanted them in time.
        """

    async def totals(self, repo: RepoName) -> Totals:
        """Counts of a repository, for ``status``."""

    async def all_totals(self) -> Sequence[Totals]:
        """Counts of every known repository, sorted; as expensive as those of one."""

    async def endangered(self, window: CreationWindow) -> Sequence[Endangered]:
        """Count what vanishes, or has vanished, of every repository; sorted. Cheap."""

    async def oldest_verifications(self) -> Mapping[RepoName, datetime]:
        """When what is mirrored of each repository was verified longest ago. Cheap.

        Without those of which nothing is mirrored.
        """

    def used(self, repos: Sequence[RepoName], by: UsageBy) -> AsyncGenerator[UsagePart]:
        """Sum up what mirrored files take, the largest part first, in bounded batches."""

    async def bytes_in_shared_blocks(self, repos: Sequence[RepoName]) -> int:
        """What files of repositories would take more if they shared no blocks."""


class OutboxLedger(Protocol):
    """What hooks are to be told, until they have been: an outbox.

    An event is committed with the fact that it tells, for each hook that is subscribed then. Where
    nobody is, nothing is written.
    """

    def subscribe(self, subscriptions: Subscriptions) -> None:
        """Post for these hooks from now on, in place of those before.

        ``mark_complete`` posts ``run.complete`` where the run was not complete, ``pruned`` posts
        ``pruned`` once a run and call.
        """

    async def end_run(self, key: RunKey, failed: int, message: str) -> None:
        """Post what has come of a look, before the run is settled.

        ``run.incomplete`` when something has ``failed``, and not again until nothing does;
        ``file.lost`` for each file that upstream has no more, once a loss.
        """

    async def post_expiring(self, scope: RunScope) -> None:
        """Post ``expiring`` for runs that vanish in two days and lack something, once each."""

    async def due_delivery(self, hook: str, now: datetime) -> Delivery | None:
        """The first delivery of a hook that is due."""

    async def next_try(self, hook: str) -> datetime | None:
        """When a hook's next delivery is due; None: nothing waits."""

    def deliveries(self) -> AsyncGenerator[Delivery]:
        """List what waits and what was given up, oldest first, in bounded batches."""

    async def put_off(
        self, delivery: str, at: datetime, again: datetime | None, error: str
    ) -> None:
        """Record a failed try, and when the next one is due; None: never."""

    async def put_off_hook(self, hook: str, until: datetime) -> None:
        """Let nothing that waits for a hook be due before a moment."""

    async def try_again(self, ids: Sequence[str], now: datetime) -> None:
        """Have deliveries tried as if they were new. Unknown ones are ignored."""

    async def drop_deliveries(self, ids: Sequence[str]) -> None:
        """Delete deliveries: made, or wanted no more. Unknown ones are ignored."""

    async def drop_unsubscribed(self) -> Mapping[str, int]:
        """Delete what waits for hooks not subscribed; return how much, by hook."""


class Ledger(
    MirrorClaims,
    DiscoveryLedger,
    RunLedger,
    ArtifactLedger,
    ExtractionLedger,
    ForgetLedger,
    KeepingLedger,
    PassLedger,
    TotalsLedger,
    OutboxLedger,
    Protocol,
):
    """The whole ledger.

    Safe for many tasks at once; never blocks the event loop. A verb that writes returns when its
    write is committed (writes are committed in groups). Raises ``LedgerTooNew`` on opening,
    ``LedgerUnreachable`` of a server, ``NoSpace`` and ``DiskError`` on writing.
    """

    async def ping(self) -> None:
        """Return once the ledger has answered a trivial query."""

    async def size(self) -> int | None:
        """Bytes on disk; None when it is no file of this machine."""

    async def compact(self) -> None:
        """Give room back that deleted rows have left, where that pays."""

    async def aclose(self) -> None:
        """Commit what is queued and close. May be called twice."""
