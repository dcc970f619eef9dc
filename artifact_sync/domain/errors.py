"""Every error of the project: facts as attributes, a message built from them.

``reason`` and ``verdict`` of a class say what it means for the exit code and for the next try. Two
more families are the daemon's own, in ``daemon.control``: ``NoDaemon`` and ``DaemonBusy``.

No message holds a secret: no token, and of a link only its host.
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum, auto
from errno import EAGAIN, ENOMEM
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


class ExitCode(IntEnum):
    """The exit codes, which scripts rely on."""

    COMPLETE = 0
    """Everything selected is present and verified."""
    INCOMPLETE = 1
    """Something is missing. Also where failures with different exit codes come together, and for a
    dry run that would download anything."""
    USAGE = 2
    """The command line or the configuration is wrong."""
    CREDENTIALS = 3
    """The token is missing, wrong or expired, or it lacks a right."""
    UNREACHABLE = 4
    """The service, the host of a link, or the server of the ledger cannot be reached."""
    INTEGRITY = 5
    """Bytes are not those that were vouched for. None of them is kept."""
    NO_SPACE = 6
    """The disk is full, or cannot be written. What came so far is kept."""
    BUSY = 7
    """Another process holds the mirror."""
    INTERRUPTED = 130
    """It was stopped by a signal. What came so far is kept."""


class Reason(StrEnum):
    """Why something failed: ``failures[].reason`` of ``sync --json``."""

    USAGE = "usage"
    """The command line or the configuration is wrong, or it cannot be done as asked."""
    BUSY = "busy"
    """Another process holds the mirror, or works on the repository."""
    CREDENTIALS = "credentials"
    """The service refuses the token: it is missing, wrong or expired, or it lacks a right."""
    PERMISSION = "permission"
    """The service refuses the logs of cubes to the token, and nothing else."""
    NOT_FOUND = "not_found"
    """The service knows no such thing, or the token may not see it."""
    UNREACHABLE = "unreachable"
    """The service, the host of a link, or the server of the ledger does not answer."""
    BAD_ANSWER = "bad_answer"
    """The service's answer is not what its specification promises."""
    UNFINISHED = "unfinished"
    """The run has not finished, or the last look at it failed and the next one is not due."""
    LINK = "link"
    """The service gives no link for the artifact that can be used."""
    GONE = "gone"
    """The service lists the artifact, but its file cannot be had any more."""
    TIMEOUT = "timeout"
    """Nothing arrived for longer than ``download.timeout``."""
    CUT = "cut"
    """The file ended before its end."""
    THROTTLED = "throttled"
    """The file's server asks to come again later: 429, 500, 502, 503 or 504."""
    BAD_RESPONSE = "bad_response"
    """The file's server answers in a way that cannot be used."""
    ERROR_PAGE = "error_page"
    """The file's server gives an error document where the file should be."""
    INTEGRITY = "integrity"
    """The bytes are not those that were vouched for."""
    MISSING = "missing"
    """A file of the mirror is missing: ``verify`` found it so."""
    LOST = "lost"
    """A file was here, is missing or changed, and the service has it no more."""
    UNFIT = "unfit"
    """What a ``run.json`` says cannot be understood, or does not fit what is here."""
    UNSIGNED = "unsigned"
    """``mirror.sign_command`` has failed: the run's ``SHA256SUMS`` has no signature yet."""
    UNSAFE_PATH = "unsafe_path"
    """The artifact's name has no safe place in a mirror."""
    COLLISION = "collision"
    """On some system two artifacts of the run would be one file."""
    NOTHING_FITS = "nothing_fits"
    """No mirrored file is what was asked for."""
    IN_THE_WAY = "in_the_way"
    """Something else stands where a file is to be copied to."""
    UNSAFE_ARCHIVE = "unsafe_archive"
    """An archive that is to be unpacked is damaged, or could do harm. It is here itself."""
    DISK = "disk"
    """The mirror's file system fails, or refuses."""
    NO_SPACE = "no_space"
    """The file system is full, over quota, or below ``mirror.min_free``."""
    MAX_SIZE = "max_size"
    """``keep.max_size`` leaves the daemon no room for it, and nothing more may be pruned."""
    INTERRUPTED = "interrupted"
    """It was stopped by a signal, or because the daemon was."""
    LIMIT = "limit"
    """The system gives no further thread, process or memory."""
    INTERNAL = "internal"
    """A bug in artifact-sync."""


_EXIT_CODES = {
    Reason.USAGE: ExitCode.USAGE,
    Reason.BUSY: ExitCode.BUSY,
    Reason.CREDENTIALS: ExitCode.CREDENTIALS,
    Reason.UNREACHABLE: ExitCode.UNREACHABLE,
    Reason.INTEGRITY: ExitCode.INTEGRITY,
    Reason.DISK: ExitCode.NO_SPACE,
    Reason.NO_SPACE: ExitCode.NO_SPACE,
    Reason.INTERRUPTED: ExitCode.INTERRUPTED,
}


def exit_code(reasons: Iterable[Reason]) -> ExitCode:
    """The exit code of failures: 0 for none, a shared one, else 1."""
    codes = {_EXIT_CODES.get(reason, ExitCode.INCOMPLETE) for reason in reasons}
    if ExitCode.INTERRUPTED in codes:
        return ExitCode.INTERRUPTED
    if len(codes) > 1:
        return ExitCode.INCOMPLETE
    return codes.pop() if codes else ExitCode.COMPLETE


class Verdict(StrEnum):
    """What an error means for the next try."""

    TRANSIENT = auto()
    """Try again after a delay."""
    LAPSED = auto()
    """Try again with a fresh link, at once."""
    GONE = auto()
    """A fresh link may still help once; after that it is gone."""
    PERMANENT = auto()
    """Trying again cannot help within this pass."""
    OURS = auto()
    """This machine's trouble, not the service's."""


class ArtifactSyncError(Exception):
    """Base of all errors. ``str()`` is one sentence for the user, without secrets."""

    reason: ClassVar[Reason] = Reason.INTERNAL
    verdict: ClassVar[Verdict] = Verdict.PERMANENT
    report: Any = None
    """The ``Report`` or ``Verification`` whose ``raise_for_failures`` raised this; else None."""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code if this is the only error."""
        return exit_code([self.reason])


class UsageError(ArtifactSyncError):
    """Wrong arguments, or something that cannot be done as asked."""

    reason = Reason.USAGE


class NothingFits(ArtifactSyncError):
    """No mirrored file is what a command was asked for."""

    reason = Reason.NOTHING_FITS


class ConfigError(UsageError):
    """Every problem of a configuration, a line each."""

    def __init__(self, problems: Sequence[str], path: Path | None = None) -> None:
        self.problems = tuple(problems)
        self.path = path
        super().__init__("\n".join(self.problems))


class LedgerTooNew(UsageError):
    """The ledger was written by a newer program; this one must not touch it."""

    def __init__(self, found: str, known: str) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"the ledger was written by a newer artifact-sync (schema {found}, this program knows"
            f" {known}): upgrade artifact-sync"
        )


DAEMON = "artifact-sync daemon"
"""How a daemon calls itself where it locks a mirror."""
WORKER = "artifact-sync worker"
"""How others call a worker, with its name behind it."""


class MirrorBusy(ArtifactSyncError):
    """Another process holds the mirror."""

    reason = Reason.BUSY

    def __init__(
        self, root: Path, owner: str, *, askable: bool = True, place: object = None
    ) -> None:
        """``askable``: a daemon does for others what is wanted, once it answers.

        ``place``: what to call the mirror, where that is not its root on this machine.
        """
        self.root = root
        self.owner = owner
        hint = ": wait for it to end, or stop it"
        if any(it in owner for it in (DAEMON, WORKER)) and not askable:
            hint = ", which holds it until it is stopped, and does not do this: stop it first"
        elif DAEMON in owner:
            hint = (
                ", which holds it until it is stopped; it cannot be asked now, but binds its socket"
                " again within seconds: try again, or stop it"
            )
        super().__init__(f"the mirror {place or root} is in use by {owner}{hint}")


class AlreadyPlanned(ArtifactSyncError):
    """Another process plans the passes over this mirror."""

    reason = Reason.BUSY

    def __init__(self, who: str) -> None:
        self.who = who
        super().__init__(
            f"{who} plans the passes over this mirror, and a daemon would plan them twice: stop"
            " that, or run artifact-sync worker in place of this daemon"
        )


class RepositoryBusy(ArtifactSyncError):
    """Somebody else works on the repository."""

    reason = Reason.BUSY

    def __init__(self, repo: object) -> None:
        self.repo = repo
        super().__init__(f"{repo} is being worked on: wait for that to end")


class ServiceError(ArtifactSyncError):
    """The API answered no, or not at all."""

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.what = what
        self.status = status
        self.request_id = request_id
        """What SourceCraft's support asks for."""
        self.retry_after = retry_after
        """Seconds that the service asked us to wait, if it did."""
        super().__init__(f"{what} (request id {request_id})" if request_id else what)


class CredentialsRefused(ServiceError):
    """401 and 403: the token is missing, wrong, expired, or lacks a right."""

    reason = Reason.CREDENTIALS


class NotFound(ServiceError):
    """404 and 410: no such thing, or the token may not see it."""

    reason = Reason.NOT_FOUND


class Unreachable(ServiceError):
    """No answer, or one that asks to come again: 429 and 5xx."""

    reason = Reason.UNREACHABLE
    verdict = Verdict.TRANSIENT


class BadAnswer(ServiceError):
    """An answer that is not what the specification promises."""

    reason = Reason.BAD_ANSWER
    verdict = Verdict.PERMANENT


class UnusableEntries(BadAnswer):
    """A list of which some entries had no usable slug."""

    def __init__(self, message: str, entries: int) -> None:
        super().__init__(message)
        self.entries = entries


class GarbledAnswer(BadAnswer):
    """An answer cut short or garbled on its way: asking once more may help."""

    verdict = Verdict.TRANSIENT


class DownloadError(ArtifactSyncError):
    """A file could not be had from its link."""

    verdict = Verdict.TRANSIENT

    def __init__(self, what: str, *, retry_after: float | None = None) -> None:
        self.what = what
        self.retry_after = retry_after
        super().__init__(what)


class LinkLapsed(DownloadError):
    """The link was refused the way lapsed links are (403, 401, 400 ExpiredToken)."""

    reason = Reason.LINK
    verdict = Verdict.LAPSED


class LinkGone(DownloadError):
    """404 or 410 of a link: the file is not there any more."""

    reason = Reason.GONE
    verdict = Verdict.GONE


class LinkUnusable(DownloadError):
    """The answer has no link for the artifact, or none for HTTP."""

    reason = Reason.LINK


class HostUnreachable(DownloadError):
    """No connection to the link's host."""

    reason = Reason.UNREACHABLE


class HostUntrusted(HostUnreachable):
    """The certificate of the link's host is not trusted: trying again cannot help."""

    verdict = Verdict.PERMANENT


class Stalled(DownloadError):
    """No byte came within the time limit."""

    reason = Reason.TIMEOUT


class Cut(DownloadError):
    """The body ended before its end."""

    reason = Reason.CUT


class Throttled(DownloadError):
    """429, 500, 502, 503 or 504: come again later."""

    reason = Reason.THROTTLED


class BadResponse(DownloadError):
    """A status, framing or redirect that cannot be used."""

    reason = Reason.BAD_RESPONSE


class RangeMismatch(BadResponse):
    """The answer does not continue the staged bytes: start from the first byte."""


class RefusedResponse(BadResponse):
    """A status or redirect for which a retry cannot help."""

    verdict = Verdict.PERMANENT


class ErrorPage(DownloadError):
    """200 with an object store's error document where a file should be."""

    reason = Reason.ERROR_PAGE


class IntegrityFailure(DownloadError):
    """The bytes are not those that the evidence vouches for."""

    reason = Reason.INTEGRITY


class Unsigned(ArtifactSyncError):
    """A manifest could not be signed."""

    reason = Reason.UNSIGNED


class UnsafePath(ArtifactSyncError):
    """A remote name that may not become a path."""

    reason = Reason.UNSAFE_PATH


class Collision(UnsafePath):
    """Two remote names that would be one file on some file system."""

    reason = Reason.COLLISION


class UnsafeArchive(ArtifactSyncError):
    """An archive that is damaged, or that holds what must not be unpacked."""

    reason = Reason.UNSAFE_ARCHIVE


class InTheirPlace(ArtifactSyncError):
    """Something of somebody's stands where a file is to be copied to."""

    reason = Reason.IN_THE_WAY


class DiskError(ArtifactSyncError):
    """The mirror's file system failed: read-only, no permission, I/O error."""

    reason = Reason.DISK
    verdict = Verdict.OURS


class MirrorGone(DiskError):
    """The mirror's root was unmounted, moved or removed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__(
            f"the mirror {root} is not there any more: its file system was unmounted, or another"
            " folder has its place; nothing was changed: mount it again"
        )


class ObjectsGone(MirrorGone):
    """The mirror in a bucket is gone or is another."""

    def __init__(self, url: object) -> None:
        DiskError.__init__(
            self,
            f"the mirror {url} is gone: its .artifact-sync/id was removed, or is another mirror's;"
            " nothing was changed: put the object back from a backup, or set mirror.root to the"
            " mirror",
        )


class BucketAbsent(MirrorGone):
    """The object store has no such bucket, any more or yet."""

    def __init__(self, url: object) -> None:
        DiskError.__init__(
            self,
            f"the bucket of the mirror {url} does not exist in this object store: make it, or"
            " correct mirror.root or the store's address (AWS_ENDPOINT_URL, mirror.endpoint)",
        )


class StoreUnreachable(DiskError):
    """The object store does not answer, or asks to come again."""

    reason = Reason.UNREACHABLE


class LedgerUnreachable(DiskError):
    """The ledger's database server does not answer, or not in time."""

    reason = Reason.UNREACHABLE


class LeaseLost(LedgerUnreachable):
    """The connection that held a repository's lock was lost while it was worked on."""

    def __init__(self, repo: object) -> None:
        self.repo = repo
        super().__init__(
            f"the lock of {repo} was lost, perhaps to somebody else who works on it now: what came"
            " so far is kept, run it again"
        )


class NoSpace(DiskError):
    """The file system is full, over quota, or below ``mirror.min_free``."""

    reason = Reason.NO_SPACE


class BeyondMaxSize(ArtifactSyncError):
    """There is no room within ``keep.max_size``, and nothing more may go for it."""

    reason = Reason.MAX_SIZE


class GivesWay(BeyondMaxSize):
    """Nothing more of a run is fetched: what ``keep.max_size`` has room for is newer."""


class Incomplete(ArtifactSyncError):
    """Something selected is missing from the mirror; no other class tells why."""

    reason = Reason.UNFINISHED


_MALLOC = re.compile(r"failed to map|malloc failure|[Cc]annot allocate memory")


class SystemLimit(ArtifactSyncError):
    """The system gives no further thread, process or memory."""

    reason = Reason.LIMIT
    verdict = Verdict.OURS


def system_limit(error: BaseException) -> SystemLimit | None:
    """Translate Python's error for a limit of the system; None: another error."""
    number = getattr(error, "errno", None)
    if isinstance(error, MemoryError) or number == ENOMEM or _MALLOC.search(str(error)):
        return SystemLimit(
            "the system gives no more memory: raise the limit (ulimit -v, systemd's MemoryMax=, a"
            " container's), or ask for less at once with --jobs"
        )
    no_thread = "can't start new thread" in str(error) or "spawn" in str(error)  # Python's, Rust's
    if number == EAGAIN or (no_thread and not isinstance(error, ArtifactSyncError)):
        return SystemLimit(
            "the system gives no further thread or process: raise the limit (ulimit -u, ulimit -v,"
            " systemd's TasksMax=, a container's pids limit), or end other programs"
        )
    return None


class Interrupted(ArtifactSyncError):
    """The user or the system asked us to stop."""

    reason = Reason.INTERRUPTED
    verdict = Verdict.OURS
