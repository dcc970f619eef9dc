"""Domain values: keys, runs, artifacts, links, plans, ledger rows.

The words are SourceCraft's own: a *run* has *workflows*, these have *tasks*, these have *cubes*,
and a cube leaves *artifacts*. They are ``msgspec.Struct``, not frozen dataclasses: defining the
class is about thirty times faster (start-up time), making a value about five times.
"""

from __future__ import annotations

# Not for the checkers alone: whoever asks a ``Struct`` for its signature needs these names.
# ruff: noqa: TC001, TC003
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, NewType

import msgspec
from msgspec import Struct

from artifact_sync.domain.archives import UNPACKED, Extraction, ExtractionState
from artifact_sync.domain.errors import Reason

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from artifact_sync.domain.run_record import RunRecord

MirrorPath = NewType("MirrorPath", str)
"""A path below the mirror's root, ``/`` between components, checked by ``mirror.layout``.

Nothing else makes one, so whoever holds a ``MirrorPath`` may use it without looking.
"""

FINISHED = frozenset({"success", "failed", "canceled", "timeout", "skipped", "rejected"})
"""Run statuses after which nothing more happens by itself. Unknown ones count as not finished."""

UNFINISHED = frozenset({"created", "prepared", "processing", "awaiting_approval"})
"""Run statuses known to lead to another one; ``awaiting_approval`` can last for days."""

ARTIFACT_STATUSES = frozenset({"registered", "success", "failed", "missing"})
"""Artifact statuses that SourceCraft documents. An unknown one counts as not yet there."""

EVENTS = frozenset({"push", "pr_update", "manual", "restart", "schedule", "repository_event"})
"""What can start a run (``event_type``), as far as it is documented."""

_SECOND = timedelta(seconds=1)
_SLUG = re.compile(r"[^/\s]+")


class Redacted(Struct, frozen=True):
    """Base of values that print only the fields named in ``SHOWN``."""

    SHOWN: ClassVar[tuple[str, ...]] = ()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Names and values for ``rich``, to which ``msgspec`` would give all of them."""
        return [(name, getattr(self, name)) for name in self.SHOWN]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class RepoName(NamedTuple):
    """A repository: the slug of its organisation and its own."""

    org: str
    repo: str

    @classmethod
    def parse(cls, text: str) -> RepoName:
        """Read ``org/repo``; ``ValueError`` when it is not two slugs with one slash between."""
        org, slash, repo = text.partition("/")
        if not (slash and _SLUG.fullmatch(org) and _SLUG.fullmatch(repo)):
            msg = f"{text!r} is not of the form ORG/REPO"
            raise ValueError(msg)
        return cls(org, repo)

    @classmethod
    def star(cls, org: str) -> RepoName:
        """``org/*``, which stands for every repository of an organisation."""
        return cls(org, "*")

    @property
    def is_star(self) -> bool:
        """Whether it stands for every repository of its organisation."""
        return self.repo == "*"

    def __str__(self) -> str:
        return f"{self.org}/{self.repo}"


class RunKey(NamedTuple):
    """Which run of which repository. ``run`` is the slug: a counter, kept as text."""

    repo: RepoName
    run: str

    @property
    def number(self) -> int | None:
        """The slug as a number of at most 18 digits, for ordering; else None."""
        digits = self.run.isascii() and self.run.isdigit() and len(self.run) <= 18  # noqa: PLR2004 - fits 64 bits
        return int(self.run) if digits else None

    def __str__(self) -> str:
        return f"{self.repo} run {self.run}"


class ArtifactKey(NamedTuple):
    """An artifact's identity, which the service defines as all seven parts together.

    The same ``local_path`` does recur in several cubes of one task. ``local_path`` is the text from
    the CI file, untouched and untrusted. Empty, it stands for the cube's log: no answer of the
    service makes an artifact without a path.
    """

    org: str
    repo: str
    run: str
    workflow: str
    task: str
    cube: str
    local_path: str

    @property
    def run_key(self) -> RunKey:
        """The run that the artifact belongs to."""
        return RunKey(RepoName(self.org, self.repo), self.run)

    @property
    def cube_key(self) -> CubeKey:
        """The cube that left the artifact."""
        return CubeKey(self.run_key, self.workflow, self.task, self.cube)

    @property
    def in_run(self) -> dict[str, str]:
        """What tells it from the others of its run, by name."""
        _, _, _, workflow, task, cube, local_path = self
        return {"workflow": workflow, "task": task, "cube": cube, "local_path": local_path}

    @property
    def is_log(self) -> bool:
        """Whether it is the log of its cube."""
        return not self.local_path

    @property
    def name(self) -> str:
        """Its name for people: the path in CI, or the cube's and ``.log``."""
        return self.local_path or f"{self.cube}.log"

    def __str__(self) -> str:
        return "/".join((*self[:5], self.name) if self.is_log else self)


class CubeKey(NamedTuple):
    """Which cube of a run."""

    run: RunKey
    workflow: str
    task: str
    cube: str

    def artifact(self, local_path: str) -> ArtifactKey:
        """The key of one artifact of this cube."""
        org, repo = self.run.repo
        return ArtifactKey(org, repo, self.run.run, self.workflow, self.task, self.cube, local_path)

    @property
    def log(self) -> ArtifactKey:
        """The key of this cube's log."""
        return self.artifact("")


class Artifact(Redacted, frozen=True):
    """One artifact as a run's answer shows it."""

    SHOWN = ("key", "status", "version")

    key: ArtifactKey
    status: str
    """``registered``, ``success``, ``failed``, ``missing``, or a word nobody has met yet."""
    version: str = ""
    """The server's ``obtained_at`` or ``updated_at`` as text: changes when it was left anew."""
    url: str = ""
    """The temporary link, empty where the answer has none. A credential: never shown or logged."""


class Problem(Struct, frozen=True):
    """A part of an answer that could not be understood."""

    workflow: str
    task: str
    cube: str
    message: str


class Creation(NamedTuple):
    """What tells runs of one number apart; None or empty: not known."""

    at: datetime | None = None
    id: str = ""

    def is_another(self, other: Creation) -> bool:
        """Whether the other one is of another run.

        Answers may differ in how exactly they tell the time.
        """
        moved = self.at and other.at and abs(self.at - other.at) >= _SECOND
        return bool(moved) or bool(self.id and other.id and self.id != other.id)

    def completed(self, other: Creation) -> Creation:
        """With what the other one knows besides."""
        return Creation(self.at or other.at, self.id or other.id)


class Run(Struct, frozen=True):
    """A run. In a listing it may lack its artifacts; ``Source.run`` gives them."""

    key: RunKey
    status: str
    event: str = ""
    created_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime | None = None
    artifacts: tuple[Artifact, ...] = ()
    """All of the tree's artifacts, of every status, in the tree's order, repeats included."""
    logs: tuple[Artifact, ...] = ()
    """A log for each cube: ``success``, or ``missing`` where the cube never ran."""
    problems: tuple[Problem, ...] = ()
    id: str = ""
    """The service's own, where it gives one."""
    record: RunRecord | None = None
    """What is kept of its own answer; None in a listing."""

    @property
    def creation(self) -> Creation:
        """What tells it from another run of this number."""
        return Creation(self.created_at, self.id)

    @property
    def finished(self) -> bool:
        """Whether nothing more happens to the run by itself."""
        return self.status in FINISHED

    @property
    def fingerprint(self) -> str:
        """Changes when the service has touched the run since: a restart, a late artifact."""
        dates = (self.created_at, self.finished_at, self.updated_at)
        told = [self.status, *(d.isoformat() if d else "" for d in dates)]
        return "|".join([*told, self.id] if self.id else told)


class LogPage(Struct, frozen=True):
    """A page of a cube's log."""

    content: bytes
    """UTF-8, and otherwise whatever the cube has written."""
    complete: bool
    """Nothing more is written to this page."""
    done: bool
    """Nothing more is written to this log: it is the last page."""


class RunPage(Struct, frozen=True):
    """A page of a repository's list of runs."""

    runs: Sequence[Run]
    list_digest: str = ""
    """Digest of the page as it came; empty where a part of it could not be read."""
    unchanged: bool = False
    """The digest is the one that the caller knows, so the runs were not read."""


class Link(Redacted, frozen=True):
    """A temporary link: a credential that lapses."""

    SHOWN = ("lapses_at",)

    url: str
    """Byte for byte as the service gave it: path and query are signed."""
    lapses_at: float
    """On the monotonic clock of ``Clock.monotonic``, seconds."""

    @property
    def host(self) -> str:
        """Host and port, which may be shown; the path and the query may not."""
        return self.url.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1]


class Strength(StrEnum):
    """How well the bytes of a mirrored file are vouched for, weakest first."""

    NONE = "none"
    """No length and no checksum; the end was marked by the transfer coding alone."""
    LENGTH = "length"
    """The announced length was met."""
    CHECKSUM = "checksum"
    """A checksum meant for accidents: CRC-32, CRC-32C, MD5, SHA-1."""
    DIGEST = "digest"
    """A cryptographic digest: SHA-256 or SHA-512, of the server's or from a checksum file."""


class State(StrEnum):
    """What the ledger holds of an artifact."""

    WANTED = "wanted"
    """Selected, not yet fetched."""
    PENDING = "pending"
    """``registered`` or an unknown status in a finished run: it may still become ``success``."""
    MIRRORED = "mirrored"
    """In the mirror, complete and checked."""
    FAILED = "failed"
    """The last try failed; another one may succeed."""
    GONE = "gone"
    """The service lists it but its file cannot be had any more."""
    REFUSED = "refused"
    """It can have no safe place in the mirror: an unsafe path, or a name that clashes."""
    LOST = "lost"
    """It was here; its file is missing or changed, and nobody has fetched it again."""
    EXPIRED = "expired"
    """Wanted since upstream has forgotten it. Never here, and no failure."""
    FORGOTTEN = "forgotten"
    """Let go by its owner: neither wanted nor a failure, also while upstream lists it."""
    UNWANTED = "unwanted"
    """Left out by the rules, and not here."""
    PRUNING = "pruning"
    """Being removed from the mirror: the file may be there or not."""
    PRUNED = "pruned"
    """Removed from the mirror by its owner's rules. Not wanted, and no failure."""

    @property
    def told(self) -> State:
        """The state as it is told: what is being removed is forgotten."""
        return State.FORGOTTEN if self in {State.PRUNING, State.PRUNED} else self


REMOVED = frozenset({State.PRUNING, State.PRUNED, State.FORGOTTEN})
"""States of what the mirror has given away on purpose."""

AT_REST = REMOVED | {State.EXPIRED, State.UNWANTED}
"""States of what is not here, and neither outstanding nor a failure."""


class Upstream(StrEnum):
    """What the service last said of an artifact."""

    UNKNOWN = "unknown"
    """Nothing that was noted."""
    LISTED = "listed"
    GONE = "gone"
    """No longer listed, or listed without a file; or its run or repository is gone."""


class Validator(Struct, frozen=True, array_like=True):
    """Value for ``If-Range``: a strong ETag, else Last-Modified (RFC 9110, 13.1.5)."""

    etag: str = ""
    last_modified: str = ""

    def __bool__(self) -> bool:
        return bool(self.etag or self.last_modified)

    @property
    def header(self) -> str:
        """The value for ``If-Range``."""
        return self.etag or self.last_modified


class Mirrored(Struct, frozen=True):
    """A mirrored file, as the ledger records it."""

    key: ArtifactKey
    path: MirrorPath
    size: int
    sha256: str
    """Lower-case hex."""
    strength: Strength
    evidence: tuple[str, ...]
    """The names of what vouched, such as ``repr-digest:sha-256``, strongest first."""
    version: str = ""
    etag: str = ""
    content_encoding: str = ""
    """As the server labelled the bytes, which are kept as they came: ``gzip`` says still packed."""
    fetched_at: datetime | None = None
    is_new: bool = True
    """Whether the file was put there now; else only its record is new."""
    shares: int | None = None
    """The ``SameFile`` whose blocks it shares."""
    archive: str = ""
    """What kind of archive it is, by its content; empty: nobody has looked."""


class SameFile(NamedTuple):
    """A mirrored file, found by its SHA-256."""

    number: int
    """The ledger's own."""
    path: MirrorPath
    size: int


class Failure(Struct, frozen=True):
    """Something selected that is not mirrored, and why: an entry of ``sync --json``."""

    repo: str
    reason: Reason
    message: str
    run: str | None = None
    workflow: str | None = None
    task: str | None = None
    cube: str | None = None
    local_path: str | None = None

    @classmethod
    def of(cls, key: ArtifactKey, reason: Reason, message: str) -> Failure:
        """The failure of one artifact."""
        _, _, run, workflow, task, cube, local_path = key
        return cls(str(key.run_key.repo), reason, message, run, workflow, task, cube, local_path)

    @property
    def place(self) -> str:
        """Path of the artifact or cube; empty for runs and repositories."""
        if self.workflow is None:
            return ""
        cube = f"{self.cube}.log" if self.local_path == "" else self.cube
        parts = (self.repo, self.run, self.workflow, self.task, cube, self.local_path)
        return "/".join(part for part in parts if part)


class Action(StrEnum):
    """What a plan says of one artifact."""

    DOWNLOAD = "download"
    KEEP = "keep"
    LATER = "later"
    """Not there yet: look again."""
    SKIP = "skip"
    """Left out by the rules, or ``failed`` or ``missing`` upstream."""
    REFUSE = "refuse"
    """No safe place for it: an unsafe path, or two names that would be one file."""
    GIVE_UP = "give_up"
    """Gone upstream for good, and never in the mirror; it still counts as a failure."""
    LOSE = "lose"
    """It was here, is missing or changed, and is gone upstream: a failure until it is put back."""
    EXPIRE = "expire"
    """Upstream had forgotten it before it was wanted: told once, and no failure."""


class Step(Struct, frozen=True):
    """One artifact of a plan: what to do, where it goes, and why."""

    action: Action
    artifact: Artifact
    path: MirrorPath | None = None
    why: str = ""
    reason: Reason | None = None
    """For REFUSE and GIVE_UP: the reason of the failure."""
    row: ArtifactRow | None = None
    """What the ledger held."""


class Plan(Struct, frozen=True):
    """What one run needs: a step for each artifact."""

    run: Run
    steps: tuple[Step, ...]
    problems: tuple[Problem, ...] = ()
    strays: tuple[ArtifactKey, ...] = ()
    """What the ledger need not know any more: never here, and not listed any more."""
    notes: tuple[ArtifactNote, ...] = ()
    """What the ledger does not hold yet of these and all other artifacts of the run."""
    noted: bool = True
    """Whether the ledger then holds every artifact that the answer lists."""
    unfinished: bool = False
    """Whether something may still come, so that the run is to be looked at again."""

    def having(self, *actions: Action) -> Iterator[Step]:
        """The steps with one of these actions, in order."""
        return (step for step in self.steps if step.action in actions)


class ArtifactRow(Struct, frozen=True):
    """What the ledger holds of an artifact."""

    key: ArtifactKey
    state: State
    path: MirrorPath | None = None
    size: int | None = None
    sha256: str = ""
    strength: Strength = Strength.NONE
    evidence: tuple[str, ...] = ()
    version: str = ""
    etag: str = ""
    content_encoding: str = ""
    attempts: int = 0
    """Passes in which it failed since it was last well."""
    first_seen: datetime | None = None
    mirrored_at: datetime | None = None
    reason: str = ""
    message: str = ""
    wanted: bool = True
    """Whether the rules of the last look selected it."""
    verified_at: datetime | None = None
    """When its file was last found to have the recorded size and SHA-256."""
    lost_since: datetime | None = None
    """When its file was first found missing or changed; None: it is here, or never was."""
    upstream: Upstream = Upstream.UNKNOWN
    gone_since: datetime | None = None
    created_at: datetime | None = None
    """When its run was created."""
    archive: str = ""
    """What kind of archive its file is, by its content; empty: nobody has looked."""
    extraction: Extraction | None = None
    """What has become of unpacking it; None: nobody has tried."""

    @property
    def size_unpacked(self) -> int:
        """Bytes of its file and of what was unpacked of it."""
        more = self.extraction.bytes if self.extraction is not None and self.unpacked else 0
        return (self.size or 0) + more

    @property
    def unpacked(self) -> MirrorPath | None:
        """The folder to which its file is unpacked; None: it is not."""
        it = self.extraction
        if self.path is None or it is None or it.state is not ExtractionState.HERE:
            return None
        return MirrorPath(self.path + UNPACKED) if it.sha256 == self.sha256 else None

    @property
    def here(self) -> bool:
        """Whether its file has the recorded content, as far as is known."""
        return self.state is State.MIRRORED

    @property
    def right_at(self) -> datetime | None:
        """When its file was last known to be right; None: that is not known."""
        return max(filter(None, (self.mirrored_at, self.verified_at)), default=None)

    @property
    def on_record(self) -> bool:
        """Whether its file should exist: it was mirrored, and neither removed nor left out."""
        left = self.state in REMOVED or self.state is State.UNWANTED
        return self.path is not None and bool(self.sha256) and not left

    @property
    def may_stand(self) -> bool:
        """Whether a file at its path may be its own: nobody has removed that."""
        if self.state is State.FORGOTTEN:
            return self.lost_since is None
        return self.state is not State.PRUNED

    @property
    def is_requested(self) -> bool:
        """Whether a mirrored file is wanted again, whatever the rules say."""
        return self.state is State.WANTED and self.on_record


class ArchiveFile(NamedTuple):
    """An archive of the mirror, and what its bytes must be."""

    path: MirrorPath
    size: int | None
    sha256: str


class ArtifactNote(NamedTuple):
    """What a run's answer and the rules say of an artifact."""

    key: ArtifactKey
    state: State
    version: str = ""
    wanted: bool = True
    upstream: Upstream = Upstream.LISTED
    lost: bool = False
    """Its recorded file was found missing or changed."""


class ExpectedFile(NamedTuple):
    """A file that should stand in the mirror."""

    run: RunKey
    path: MirrorPath | None
    size: int | None


class RunRow(Struct, frozen=True):
    """What the ledger holds of a run."""

    key: RunKey
    status: str
    event: str = ""
    created_at: datetime | None = None
    finished_at: datetime | None = None
    fingerprint: str = ""
    settled_for: str = ""
    """The selection's fingerprint for which nothing is left to do; empty: unsettled."""
    first_seen: datetime | None = None
    seen_at: datetime | None = None
    """When a listing or a look last showed it."""
    next_look: datetime | None = None
    looks: int = 0
    """Looks since the run was last changed; grows the delay until the next one."""
    complete: bool = False
    """Its manifest stands: everything selected of it was present."""
    creation: Creation = Creation()
    """Of the run that its files are of; a listing may have shown another one since."""
    noted: bool = False
    """The ledger holds every artifact that its last answer listed, wanted or not."""
    gone_since: datetime | None = None
    """When upstream was first found to have forgotten it; None: it has not."""
    pruned_at: datetime | None = None
    """When it was pruned: nothing of it is fetched again. None: it was not."""


class RunScope(NamedTuple):
    """Runs of a repository, under one selection, as far back as is asked for."""

    repo: RepoName
    selection: str
    """The fingerprint of what decides which of their artifacts are wanted."""
    since: datetime | None = None
    """Created at or after this, or at an unknown time; None: all."""
    until: datetime | None = None
    """Created at or before this, or at an unknown time; None: all."""


class Horizon(Struct, frozen=True):
    """The part of a repository's list of runs that the ledger holds completely.

    Every run with a number in ``..high`` that was created at or after ``since`` (None: ever) is in
    the ledger, so a listing that is in order may stop once it has come down to ``high``.
    """

    high: int
    since: datetime | None = None
    falling: bool = False
    """The list was last read to its end in falling order of at least two runs, and nothing that was
    seen since speaks against it. Unset: nobody knows the order."""

    def reaches_back(self, since: datetime | None) -> bool:
        """Whether all runs created since then (None: ever) are known, up to ``high``."""
        return self.since is None or (since is not None and self.since <= since)

    def covers(self, other: Horizon) -> bool:
        """Whether the ledger holds completely what the other one says that it holds."""
        return self.high >= other.high and self.reaches_back(other.since)


class FilterNotes(Struct, frozen=True):
    """What the filters of a repository were held against in its passes."""

    selection: str = ""
    """The fingerprint of the selection that they belong to."""
    workflows: tuple[str, ...] = ()
    """Some workflows that were met."""
    paths: tuple[str, ...] = ()
    """Some paths that were met in workflows that are wanted."""
    fitted: tuple[str, ...] = ()
    """Globs that have fitted something."""
    unfit: tuple[str, ...] = ()
    """A sentence for each filter that has fitted nothing so far."""


class Totals(Struct, frozen=True):
    """Counts over the ledger's artifacts of one repository."""

    repo: RepoName
    runs: int = 0
    settled: int = 0
    bytes: int = 0
    states: Mapping[State, int] = msgspec.field(default_factory=dict)
    newest_run: str = ""
    last_mirrored: datetime | None = None
    last_pass: datetime | None = None
    """When a pass over the repository last ended."""
    last_complete: datetime | None = None
    """When a pass over the repository last ended complete."""
    last_error: str = ""
    unfit: tuple[str, ...] = ()
    """A sentence for each filter that has fitted nothing so far."""
    pruned_runs: int = 0
    """Runs of which nothing is here, nor is to be; the other counts leave them out."""
    shared_bytes: int = 0
    """Of ``bytes``, what takes no room: of files that lie in the blocks of another file."""
    oldest_verified: datetime | None = None
    """When what is mirrored was verified longest ago; None: nothing is mirrored."""


class FileState(NamedTuple):
    """Identity and last change of a file: equal while nobody has written to it."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileState:
        """The state that a look at the file shows."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns)


class StagedContent(Struct, frozen=True):
    """A complete, checked file that is ready to be published."""

    size: int
    sha256: str
    """Lower-case hex."""
    data: Path | bytes | memoryview | None
    """A file of this machine, or the bytes themselves. Only small ones are held in memory.

    None: nothing came, and one of the ``same`` is to do.
    """
    written: FileState | None = None
    """The file as it was left by whoever hashed it; any other is hashed again."""
    same: Sequence[SameFile] = ()
    """Mirrored files that are said to have these bytes, whose blocks it may share."""


class Placed(NamedTuple):
    """What came of publishing a file."""

    displaced: str | None = None
    """Where what was in the way has moved: a place below ``.artifact-sync/displaced/``."""
    shares: SameFile | None = None
    """The file whose blocks it shares."""


class Found(Struct, frozen=True):
    """What exists at a path of the mirror."""

    kind: Literal["file", "folder", "other"]
    """``other``: a symbolic link, a device, a socket."""
    size: int = 0
    changed: float = 0.0
    """When the file or its attributes were last changed: seconds, as ``datetime.timestamp``."""


class DisplacedFile(Struct, frozen=True):
    """A file that was in the way, and was moved to ``displaced/``."""

    place: str
    """Its path below ``displaced/``: the time, then the path that it had."""
    path: MirrorPath
    """The path that it had."""
    at: datetime
    size: int
