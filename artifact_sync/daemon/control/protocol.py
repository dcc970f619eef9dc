"""The protocol of the control socket, in lines of JSON.

A connection carries one request line and the lines of its answer, which have a tag ``is``. The last
one is ``result``, ``status`` or ``error``. Plans, links and the token are never sent.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from artifact_sync.domain.errors import ArtifactSyncError, Reason, UsageError
from artifact_sync.domain.events import (
    BytesArrived,
    DownloadBegan,
    Downloaded,
    Failed,
    FetchBegan,
    FilesRemoved,
    LinkRenewed,
    Noticed,
    PruneRefused,
    Remembered,
    RepoBegan,
    Retrying,
    RunCompleted,
)
from artifact_sync.domain.keeping import PlannedRun  # noqa: TC001 - likewise
from artifact_sync.domain.model import Failure  # noqa: TC001 - msgspec reads the annotations
from artifact_sync.domain.report import Report
from artifact_sync.domain.request import PassOptions, PassRequest
from artifact_sync.domain.settings import RepoSettings  # noqa: TC001 - likewise
from artifact_sync.domain.verification import VerifiedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from artifact_sync.domain.events import Event
    from artifact_sync.domain.forget_rules import ForgetScope
    from artifact_sync.domain.model import ArtifactRow, RepoName, RunKey
    from artifact_sync.sync.prune_plan import RepoPlan

VERSION: Literal[1] = 1
"""Of the protocol. ``v``, ``is``, ``error``, ``reason``, ``message`` never change their meaning."""

LONGEST_REQUEST = 1024 * 1024
LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of a line."""

_BATCH = 500
"""Failures in one line."""


_RUNS = 2000
"""Planned runs in one request."""

_FILES = 200
"""Verified files in one request; their names may be long."""


class DaemonBusy(ArtifactSyncError):
    """The daemon has too many clients."""

    reason = Reason.BUSY


class Garbled(ValueError):
    """A line that does not follow the protocol; the message says why."""


class SyncRequest(
    msgspec.Struct,
    frozen=True,
    tag_field="do",
    tag="sync",
    forbid_unknown_fields=True,
    omit_defaults=True,  # what is not asked for is no obstacle to a daemon of an older version
):
    """Asks for a pass."""

    v: Literal[1]
    base_url: str
    """The service that the client means."""
    repos: Annotated[tuple[RepoSettings, ...], msgspec.Meta(min_length=1)]
    runs: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()
    insist: bool = False
    eager: bool = True
    expiring: Annotated[float, msgspec.Meta(gt=0)] | None = None

    @property
    def pass_request(self) -> PassRequest:
        """The request for the pass."""
        mode = PassOptions(insist=self.insist, eager=self.eager, expiring=self.expiring)
        return PassRequest(self.repos, self.runs, mode)


class RepairRequest(
    msgspec.Struct, frozen=True, tag_field="do", tag="repair", forbid_unknown_fields=True
):
    """Asks for a repair of runs of one repository, and of its links ``latest``."""

    v: Literal[1]
    base_url: str
    repo: str
    runs: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()


class ForgetRequest(
    msgspec.Struct, frozen=True, tag_field="do", tag="forget", forbid_unknown_fields=True
):
    """Asks to let go of a repository, a run, or paths of a run."""

    v: Literal[1]
    base_url: str
    repo: str
    run: str = ""
    glob: str = ""
    delete: bool = False


class RememberRequest(
    msgspec.Struct, frozen=True, tag_field="do", tag="remember", forbid_unknown_fields=True
):
    """Asks to take back what was let go."""

    v: Literal[1]
    base_url: str
    repo: str
    run: str = ""
    glob: str = ""


class PruneRequest(
    msgspec.Struct, frozen=True, tag_field="do", tag="prune", forbid_unknown_fields=True
):
    """Asks to prune runs of a repository as they were planned."""

    v: Literal[1]
    base_url: str
    repo: str
    runs: tuple[PlannedRun, ...]
    agreed: bool = False
    """The user has said ``--yes``: any share of the runs may go."""


class PinRequest(
    msgspec.Struct, frozen=True, tag_field="do", tag="pin", forbid_unknown_fields=True
):
    """Asks to pin a run."""

    v: Literal[1]
    base_url: str
    repo: str
    run: str
    reason: str = ""


class UnpinRequest(
    msgspec.Struct, frozen=True, tag_field="do", tag="unpin", forbid_unknown_fields=True
):
    """Asks to take the pin of a run away."""

    v: Literal[1]
    base_url: str
    repo: str
    run: str


class VerifiedRequest(
    msgspec.Struct, frozen=True, tag_field="do", tag="verified", forbid_unknown_fields=True
):
    """Asks to note files of a repository that were found as recorded."""

    v: Literal[1]
    repo: str
    files: tuple[VerifiedFile, ...]


class StatusRequest(
    msgspec.Struct, frozen=True, tag_field="do", tag="status", forbid_unknown_fields=True
):
    """Asks for the status."""

    v: Literal[1] = 1


Work = (
    SyncRequest
    | RepairRequest
    | ForgetRequest
    | RememberRequest
    | PruneRequest
    | PinRequest
    | UnpinRequest
    | VerifiedRequest
)
"""What ends in a report."""

Request = Work | StatusRequest


class _Head(msgspec.Struct):
    v: int


class Begun(msgspec.Struct, frozen=True, tag_field="is", tag="begun"):
    """The daemon has accepted the request; its process id."""

    pid: int


class Alive(msgspec.Struct, frozen=True, tag_field="is", tag="alive"):
    """Nothing has happened for a while, but the daemon is there."""


class Failures(msgspec.Struct, frozen=True, tag_field="is", tag="failures"):
    """Some of the failures of the result that follows."""

    failures: tuple[Failure, ...]


class Result(msgspec.Struct, frozen=True, tag_field="is", tag="result"):
    """The report of a pass, without the failures, which were sent before."""

    runs: int
    found: int
    downloaded: int
    kept: int
    planned: int
    bytes: int
    pending: int
    final: int = 0
    expired: int = 0
    lost: int = 0

    def report(self, failures: Iterable[Failure]) -> Report:
        """The report with its failures."""
        return Report(**msgspec.structs.asdict(self), failures=list(failures))


class Status(msgspec.Struct, frozen=True, tag_field="is", tag="status"):
    """The object of ``status --json``."""

    status: dict[str, Any]


class Error(msgspec.Struct, frozen=True, tag_field="is", tag="error"):
    """The request could not be carried out."""

    reason: Reason
    message: str


SentEvent = (
    RepoBegan
    | FetchBegan
    | DownloadBegan
    | BytesArrived
    | Retrying
    | LinkRenewed
    | Downloaded
    | Failed
    | RunCompleted
    | FilesRemoved
    | PruneRefused
    | Remembered
    | Noticed
)
"""The events that a client gets. A plan is never sent: it holds links."""

Answer = Begun | Alive | Failures | Result | Status | Error | SentEvent

_HEAD, _REQUEST, _ANSWER = map(msgspec.json.Decoder, (_Head, Request, Answer))


def sync_request(request: PassRequest, base_url: str) -> bytes:
    """Encode a request for a pass. ``UsageError`` for characters or length."""
    mode, repos, runs = request.mode, request.repos, request.runs
    if mode.dry_run or mode.recorded:
        raise ValueError("a dry run or a repair is not for the daemon")
    wishes = (mode.insist, mode.eager, mode.expiring)
    return _request_line(SyncRequest(VERSION, base_url, repos, runs, *wishes))


def repair_request(repo: RepoName, runs: Sequence[str], base_url: str) -> bytes:
    """Encode a request for a repair. ``UsageError`` for its length."""
    return _request_line(RepairRequest(VERSION, base_url, str(repo), tuple(runs)))


def forget_request(scope: ForgetScope, base_url: str, *, delete: bool) -> bytes:
    """Encode a request to let go. ``UsageError`` for its length."""
    return _request_line(ForgetRequest(VERSION, base_url, *_texts(scope), delete))


def remember_request(scope: ForgetScope, base_url: str) -> bytes:
    """Encode a request to take back what was let go. ``UsageError`` for its length."""
    return _request_line(RememberRequest(VERSION, base_url, *_texts(scope)))


def prune_requests(plan: RepoPlan, base_url: str, *, agreed: bool) -> Iterator[bytes]:
    """Encode the requests to prune what is to go by a plan."""
    going = [msgspec.structs.replace(it, why=[]) for it in plan.going]
    for begin in range(0, len(going), _RUNS):
        some = tuple(going[begin : begin + _RUNS])
        yield _request_line(PruneRequest(VERSION, base_url, str(plan.repo), some, agreed))


def pin_request(run: RunKey, reason: str, base_url: str) -> bytes:
    """Encode a request to pin a run. ``UsageError`` for its length."""
    return _request_line(PinRequest(VERSION, base_url, str(run.repo), run.run, reason))


def unpin_request(run: RunKey, base_url: str) -> bytes:
    """Encode a request to take a pin away. ``UsageError`` for its length."""
    return _request_line(UnpinRequest(VERSION, base_url, str(run.repo), run.run))


def verified_requests(rows: Iterable[ArtifactRow]) -> Iterator[bytes]:
    """Encode the requests to note files that were found as recorded. ``UsageError``."""
    of_repo: defaultdict[RepoName, list[VerifiedFile]] = defaultdict(list)
    for row in rows:
        of_repo[row.key.run_key.repo].append(VerifiedFile.of(row))
    for repo, files in of_repo.items():
        for begin in range(0, len(files), _FILES):
            some = tuple(files[begin : begin + _FILES])
            yield _request_line(VerifiedRequest(VERSION, str(repo), some))


def _texts(scope: ForgetScope) -> tuple[str, str, str]:
    return str(scope.repo), scope.run, scope.glob


def _request_line(asked: Request) -> bytes:
    try:
        line = msgspec.json.encode(asked) + b"\n"
    except UnicodeEncodeError:
        raise UsageError(
            "a name or pattern is no text that the daemon could be asked for"
        ) from None
    if len(line) > LONGEST_REQUEST:
        raise UsageError("too many names and patterns to ask the daemon at once: name fewer")
    return line


def status_request() -> bytes:
    """The line that asks for the status."""
    return msgspec.json.encode(StatusRequest(VERSION)) + b"\n"


def read_request(line: bytes) -> Request:
    """Decode a request. ``Garbled``, also for another version of the protocol."""
    asked = _decoded(line, _HEAD).v
    if asked != VERSION:
        raise Garbled(
            f"the daemon speaks version {VERSION} and was asked in version {asked}: it and the"
            " command are of different versions of artifact-sync; restart the daemon"
        )
    request: Request = _decoded(line, _REQUEST)
    return request


def event_line(event: Event) -> bytes | None:
    """The line of an event; None: it is not for clients."""
    return line_of(event) if isinstance(event, SentEvent) else None


def result_lines(report: Report) -> Iterator[bytes]:
    """The lines of a report, with its failures in batches."""
    for begin in range(0, report.failed, _BATCH):
        yield line_of(Failures(tuple(report.failures[begin : begin + _BATCH])))
    counts = {name: getattr(report, name) for name in Result.__struct_fields__}
    yield line_of(Result(**counts))


def line_of(answer: Answer) -> bytes:
    """Encode a line of an answer. Lone surrogates become question marks."""
    try:
        return msgspec.json.encode(answer) + b"\n"
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(answer), ensure_ascii=False)
        return text.encode("utf-8", "replace") + b"\n"


def read_answer(line: bytes) -> Answer:
    """Decode a line of an answer. ``Garbled``."""
    answer: Answer = _decoded(line, _ANSWER)
    return answer


def _decoded(line: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(line)
    except (ValueError, RecursionError) as error:  # msgspec's own, and UTF-8 that is none
        raise Garbled(f"that is no line of artifact-sync's: {error}") from None
