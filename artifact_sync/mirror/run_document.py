"""The members of ``run.json``, which stands beside a complete run's files.

A field's docstring is its description in the JSON Schema of docs/reference/.
"""

# ruff: noqa: TC001 - msgspec reads the annotations for the schema

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from artifact_sync.domain.model import Strength
from artifact_sync.domain.run_record import Embedded, StageDates, WorkflowRecord

TOOL = "artifact-sync"
FORMAT = 2
"""2 has what the service told of the run, and what is not mirrored. 1 is still read."""


class NameInRun(Struct, frozen=True, kw_only=True):
    """What tells an artifact from the others of its run."""

    workflow: str
    """Slug."""
    task: str
    """Slug."""
    cube: str
    """Slug."""
    local_path: str
    """The artifact's path as the CI file has it; empty: the cube's log."""


class UnpackedFolder(Struct, frozen=True, kw_only=True):
    """What was unpacked of an archive. Its files stand in ``SHA256SUMS``."""

    path: str
    """Of the folder, relative to the run's folder."""
    files: int
    """Regular files in it."""
    bytes: int
    """Of these together."""


class RunArtifact(NameInRun, frozen=True, kw_only=True):
    """A file of the run: an entry of ``artifacts``."""

    path: str
    """Of the file, relative to the run's folder."""
    size: int | None
    """Bytes."""
    sha256: str
    """Hex, of the file's bytes."""
    strength: Strength
    """How well the download was vouched for."""
    evidence: list[str]
    """Names of what vouched for it, strongest first."""
    etag: str
    """The server's; empty: it gave none."""
    content_encoding: str
    """As the server labelled the bytes, which are kept as they came; empty: it did not."""
    version: str
    """The service's name for these bytes; empty: it gave none."""
    archive: str | UnsetType = UNSET
    """What it is by its content: ``zip``, ``tar``, ``tar+gzip``, ``gzip`` of anything else.

    Left out where it is no archive, or nobody has looked.
    """
    unpacked: UnpackedFolder | UnsetType = UNSET
    """The folder to which it is unpacked; left out where it is not."""
    mirrored_at: str | None
    """When the file was added to the mirror; RFC 3339 in UTC. Null: not known."""


class RefusedArtifact(NameInRun, frozen=True, kw_only=True):
    """An artifact without a safe place: an entry of ``refused``."""

    reason: str
    """``unsafe_path`` or ``collision``."""


class AbsentArtifact(NameInRun, frozen=True, kw_only=True):
    """An artifact without a file on record: an entry of ``not_mirrored``."""

    state: str
    """The mirror's word, as ``ls`` has it; ``unavailable``: the service has no file of it."""
    reason: str
    """A word: of its last failure, else the service's status or nothing."""
    message: str
    """Why it is not here, for people."""
    file: RunArtifact | UnsetType = UNSET
    """The file that stands all the same, of what was let go. Left out where there is none."""


class MissingArtifact(NameInRun, frozen=True, kw_only=True):
    """A file that was here and is missing or changed: an entry of ``missing``."""

    path: str
    """Relative to the run's folder. It also stands in ``artifacts``."""
    sha256: str
    """Hex, of the bytes that were here."""
    since: str | None
    """When it was first found so; RFC 3339 in UTC."""


class RunPin(Struct, frozen=True, kw_only=True):
    """A pin: the run is never pruned."""

    reason: str
    """Why, in its owner's words; empty: nothing was said."""
    pinned_at: str
    """RFC 3339 in UTC."""


class RunDocument(Struct, frozen=True, kw_only=True):
    """The object in ``run.json``.

    Same content, same bytes: it has no time of its writing.
    """

    format: int
    """2; raised when a member changes its meaning."""
    tool: str
    """``artifact-sync``."""
    source: str
    """The host of the service."""
    org: str
    """The organisation's slug."""
    repo: str
    """The repository's slug."""
    run: str
    """The run's number, as text."""
    status: str
    """The run's own word for how it ended."""
    event: str
    """The run's own word for what started it; empty: not known."""
    created_at: str | None
    """RFC 3339 in UTC; null: not known."""
    finished_at: str | None
    """RFC 3339 in UTC; null: not known."""
    id: str = ""
    """The service's own; empty: it gave none."""
    dates: StageDates | None = None
    """When it began and ended; null: not told yet."""
    error_messages: list[str] = []
    """The service's, without links and tokens."""
    pull: Embedded | None = None
    """The pull request that started it; null: none did, or it is not known."""
    user: Embedded | None = None
    """Who started it; null: not known."""
    workflows: list[WorkflowRecord] | None = None
    """In the service's order. Null: not told yet, as of a run that format 1 was written of."""
    shortened: bool = False
    """Whether the service's answer was so large that parts of it were left out."""
    artifacts: list[RunArtifact]
    """By path: every file on record."""
    not_mirrored: list[AbsentArtifact] = []
    """All others, by name. Those in ``refused`` are among them."""
    refused: list[RefusedArtifact] | UnsetType = UNSET
    """What was selected and has no safe place. Left out where there is none."""
    missing: list[MissingArtifact] | UnsetType = UNSET
    """Those of ``artifacts`` whose file is missing or changed. Left out where there is none."""
    pin: RunPin | UnsetType = UNSET
    """Left out where the run is not pinned."""
