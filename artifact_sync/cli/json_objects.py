"""The objects that ``--json`` prints, by command.

A field's docstring is its description in the JSON Schema of docs/reference/.
"""

# ruff: noqa: TC001 - msgspec reads the annotations for the schema

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from artifact_sync.domain.errors import Reason
from artifact_sync.domain.keeping import Pin, PlannedRun
from artifact_sync.domain.model import Action, RepoName, Strength, Upstream
from artifact_sync.domain.vanishing import vanishing_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from artifact_sync.domain.hooks import Delivery
    from artifact_sync.domain.model import (
        ArtifactKey,
        ArtifactRow,
        DisplacedFile,
        Failure,
        Plan,
        Step,
    )
    from artifact_sync.domain.report import Report
    from artifact_sync.domain.usage import UsagePart
    from artifact_sync.sync.prune_plan import RepoPlan


Kind = Literal["artifact", "log"]

ToldState = Literal[
    "mirrored",
    "wanted",
    "pending",
    "failed",
    "lost",
    "gone",
    "expired",
    "refused",
    "forgotten",
    "unwanted",
]


class FailureEntry(Struct, frozen=True, kw_only=True):
    """Something selected that is not mirrored, and why.

    What it does not concern is null.
    """

    repo: str | None
    """``org/repo``; null: the pass as a whole."""
    run: str | None
    """Its number, as text; null: the repository as a whole."""
    workflow: str | None
    """Slug; null: the run as a whole."""
    task: str | None
    """Slug."""
    cube: str | None
    """Slug."""
    local_path: str | None
    """The artifact's path as the CI file has it; empty: the cube's log."""
    reason: Reason
    """What kind of failure it is: see the reasons."""
    message: str
    """A sentence for people. Its wording may change."""

    @classmethod
    def of(cls, failure: Failure) -> FailureEntry:
        """Make the entry of a failure."""
        return cls(
            repo=failure.repo or None,
            run=failure.run or None,
            workflow=failure.workflow or None,
            task=failure.task or None,
            cube=failure.cube or None,
            local_path=failure.local_path,
            reason=failure.reason,
            message=failure.message,
        )


class SyncAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``sync --json``, also of a pass that could not begin."""

    complete: bool
    """Whether everything selected is present and verified."""
    exit_code: int
    """The program's."""
    runs: int
    """Finished runs that the selection holds."""
    found: int
    """Artifacts selected."""
    downloaded: int
    """Artifacts that this pass added to the mirror."""
    kept: int
    """Artifacts that were there, verified, before this pass."""
    failed: int
    """Length of ``failures``."""
    bytes: int
    """Received from links, repeats included."""
    failures: list[FailureEntry]
    """Artifacts, runs and repositories that failed."""
    expired: int
    """Selected artifacts that upstream had forgotten before they were wanted. No failures."""
    lost: int
    """Failures of files that were here, and that upstream has no more."""
    plan: list[PlannedEntry] | UnsetType = UNSET
    """What would be downloaded. With ``--dry-run`` only."""

    @classmethod
    def of(cls, report: Report, plan: list[PlannedEntry] | UnsetType = UNSET) -> SyncAnswer:
        """Make the object of a report."""
        return cls(
            complete=report.complete,
            exit_code=int(report.exit_code),
            runs=report.runs,
            found=report.found,
            downloaded=report.downloaded,
            kept=report.kept,
            failed=report.failed,
            bytes=report.bytes,
            failures=[FailureEntry.of(failure) for failure in report.failures],
            expired=report.expired,
            lost=report.lost,
            plan=plan,
        )


class ArtifactName(Struct, frozen=True, kw_only=True):
    """The artifact that an entry is about."""

    repo: str
    """``org/repo``."""
    run: str
    """Its number, as text."""
    workflow: str
    """Slug."""
    task: str
    """Slug."""
    cube: str
    """Slug."""
    local_path: str
    """The artifact's path as the CI file has it; empty for a log."""
    kind: Kind
    """``artifact``, or ``log``: the log of the cube."""


def _name(key: ArtifactKey) -> dict[str, Any]:
    """The fields of an ``ArtifactName``."""
    kind = "log" if key.is_log else "artifact"
    return {"repo": str(key.run_key.repo), "run": key.run, **key.in_run, "kind": kind}


class PlannedEntry(ArtifactName, frozen=True, kw_only=True):
    """An artifact that would be downloaded: an entry of ``plan``."""

    path: str | None
    """Where it would be, relative to the mirror's root."""
    size: int | None
    """Bytes; null: not known before it comes."""
    why: str
    """Why it would be downloaded, for people."""

    @classmethod
    def of(cls, step: Step) -> PlannedEntry:
        """Make the entry of a step that downloads."""
        row = step.row if step.row and step.row.version == step.artifact.version else None
        key = step.artifact.key
        return cls(
            **_name(key),
            path=step.path,
            size=row.size if row is not None and row.version else None,
            why=step.why,
        )


def planned_entries(plan: Plan) -> list[PlannedEntry]:
    """Entries for what a plan would download."""
    return [PlannedEntry.of(step) for step in plan.having(Action.DOWNLOAD)]


class ListedArtifact(ArtifactName, frozen=True, kw_only=True):
    """An artifact in the ledger: an entry of ``artifacts``."""

    state: ToldState
    """What the ledger holds of it. ``unwanted`` with ``ls --all`` only."""
    path: str | None
    """Where it is, or would be, relative to the mirror's root; null: nowhere."""
    size: int | None
    """Bytes; null: not known."""
    sha256: str | None
    """Hex; null: it was never here."""
    strength: Strength | None
    """How well its download was vouched for; null: it was never here."""
    evidence: list[str]
    """Names of what vouched for it, strongest first."""
    attempts: int
    """Passes in which it failed since it was last well."""
    first_seen: str | None
    """When it was first listed; ISO 8601."""
    mirrored_at: str | None
    """When it was added to the mirror; ISO 8601. Null: never."""
    reason: str | None
    """Of its last failure: see the reasons. Null: it is well."""
    message: str | None
    """Of its last failure, for people."""
    wanted: bool
    """Whether the rules of the last look selected it."""
    here: bool
    """Whether its file has the recorded size and SHA-256, as far as is known. False for what is
    forgotten: its file may stand, and nobody looks at it."""
    upstream: Upstream
    """What the service last said of it."""
    verified_at: str | None
    """When its file was last found as recorded; ISO 8601. Null: never."""
    vanishes_at: str | None
    """When the service deletes it: its run's creation and ``source.retention``; ISO 8601. Null: not
    known, or it is gone."""
    lost_since: str | None
    """When its file was first found missing or changed; ISO 8601. Null: it is here, or never
    was."""
    version: str | None
    """What the service called this version of it, mostly a time: another one when it is left anew.
    Null: not told."""
    run_created_at: str | None
    """When its run was created; ISO 8601. Null: not known."""

    @classmethod
    def of(cls, row: ArtifactRow, retention: float) -> ListedArtifact:
        """Make the entry of a row of the ledger; ``retention`` in seconds."""
        return cls(
            **_name(row.key),
            state=cast("ToldState", row.state.told.value),
            path=row.path,
            size=row.size,
            sha256=row.sha256 or None,
            strength=row.strength if row.sha256 else None,
            evidence=list(row.evidence),
            attempts=row.attempts,
            first_seen=_moment(row.first_seen),
            mirrored_at=_moment(row.mirrored_at),
            reason=row.reason or None,
            message=row.message or None,
            wanted=row.wanted,
            here=row.here,
            upstream=row.upstream,
            verified_at=_moment(row.verified_at),
            vanishes_at=_moment(_vanishes_at(row, retention)),
            lost_since=_moment(row.lost_since),
            version=row.version or None,
            run_created_at=_moment(row.created_at),
        )


class ListAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``ls --json``."""

    artifacts: list[ListedArtifact]
    """By repository; of each, newest runs first. With ``--sort`` in that order."""


class VerifyAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``verify --json``. Paths are relative to the mirror's root."""

    exit_code: int
    """The program's."""
    ok: int
    """Files that are as recorded."""
    missing: list[str]
    """Files that were not there when they were looked at, repaired or not."""
    changed: list[str]
    """Files that had other bytes than recorded, repaired or not."""
    extra: list[str]
    """Files that nobody recorded; no fault."""
    unreadable: list[str] = []
    """Files that the disk does not give out."""
    whole: bool = True
    """Whether everything was looked at. Else bounds were given: then manifests were not, nor what
    nobody recorded."""
    files: int = 0
    """Files of artifacts that were looked at."""
    bytes: int = 0
    """Bytes that were read of them."""
    repaired: list[str]
    """Files that were damaged and are as recorded again."""
    failures: list[FailureEntry] | UnsetType = UNSET
    """What the repair could not do. Without ``--repair`` only what ``--no-wait`` left unnoted."""


class MoveAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``move --json``. Paths are relative to the mirror's root."""

    complete: bool
    """Whether the mirror is there, whole."""
    exit_code: int
    """The program's."""
    files: int = 0
    """Files of artifacts that were looked at; those that are there already included."""
    bytes: int = 0
    """Bytes that this call has copied."""
    rows: int = 0
    """Rows of the ledger that were copied."""
    damaged: list[str] = []
    """Files that are not as recorded, for which the move is not ended."""
    config: str = ""
    """The configuration to be used from now on."""
    failures: list[FailureEntry] = []
    """What has ended it early, or is not taken where it was to go."""


class UnfitEntry(FailureEntry, frozen=True, kw_only=True):
    """Something that ``adopt`` found and that does not fit, and why."""

    path: str
    """The file or folder, relative to the mirror's root."""

    @classmethod
    def at(cls, path: str, failure: Failure) -> UnfitEntry:
        """Make the entry of what is at a path."""
        return cls(**msgspec.structs.asdict(FailureEntry.of(failure)), path=path)


class AdoptAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``adopt --json``; its lists are written as they are found.

    Of a dry run: what would be done.
    """

    adopted: list[ListedArtifact]
    """What is in the ledger now, and was not, or was not counted on."""
    unfit: list[UnfitEntry]
    """What does not fit: files that are missing or changed, manifests that cannot be used."""
    extra: list[str]
    """Files that nobody recorded; no fault. They are left alone."""
    known: int
    """Files that the ledger has already, and that are as recorded."""
    complete: bool
    """Whether all fits."""
    exit_code: int
    """The program's."""
    failures: list[FailureEntry]
    """What has ended it early."""


class CheckAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``config check --json``."""

    ok: bool
    """Whether there is no problem."""
    file: str | None
    """The configuration's; null: there is none, or it is not known."""
    problems: list[str]
    """What keeps the configuration from being used, a sentence each."""
    warnings: list[str]
    """What may be meant otherwise, a sentence each."""


class ForgetAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``forget --json``."""

    complete: bool
    """Whether all was done that was asked for."""
    exit_code: int
    """The program's."""
    failures: list[FailureEntry]
    """What has kept it from that."""
    forgotten: list[ListedArtifact]
    """What is forgotten now of what was named, as in ``ls``. What may come later is not in it."""
    removed: list[ListedArtifact] | UnsetType = UNSET
    """Those whose files were removed. With ``--delete`` only."""
    left: list[str] | UnsetType = UNSET
    """Files in the folders of these runs that nobody recorded: they stay. Paths are relative to the
    mirror's root. With ``--delete`` only."""


class RememberAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``remember --json``."""

    complete: bool
    """Whether all was done that was asked for."""
    exit_code: int
    """The program's."""
    failures: list[FailureEntry]
    """What has kept it from that."""
    remembered: list[ListedArtifact]
    """What was forgotten and is not any more, as in ``ls``. The next ``sync`` looks at it."""


class PruneEntry(Struct, frozen=True, kw_only=True):
    """A run, and what becomes of it."""

    repo: str
    """``org/repo``."""
    run: str
    """Its number, as text."""
    created_at: str | None
    """When it was created; ISO 8601. Null: not known."""
    action: Literal["keep", "prune"]
    """Whether it stays or goes; of a ``prune`` that is over, whether it stayed or went."""
    why: list[str]
    """Why it stays: each rule that keeps it, with its period (``daily 2026-11-28``), ``pin``,
    ``latest``, ``latest-success``, ``in flight``, ``undated``, ``no rule is set``, or ``refused``.
    Why it goes: ``no rule keeps it`` or ``max_size``; ``already pruned``: of a plan, what had gone
    before."""
    bytes: int
    """Of its files that are here, or were."""

    @classmethod
    def of(cls, repo: str, planned: PlannedRun) -> PruneEntry:
        """Make the entry of a planned run."""
        return cls(
            repo=repo,
            run=planned.run,
            created_at=_moment(planned.created_at),
            action=planned.action,
            why=planned.why,
            bytes=planned.bytes,
        )


class RefusedPrune(Struct, frozen=True, kw_only=True):
    """What stays although the rules would have it go."""

    repo: str
    """``org/repo``; empty: the command as a whole."""
    why: str
    """A sentence for people. Its wording may change."""


class PruneAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``prune --json``, and of a plan in a file."""

    mirror: str
    """The mirror's id, which a plan holds for."""
    made_at: str
    """When it was planned; ISO 8601. A plan holds for seven days."""
    complete: bool
    """Whether all goes, or is gone, that the rules would have go."""
    exit_code: int
    """The program's."""
    runs: list[PruneEntry]
    """Every run of which files are here, by repository, the newest first."""
    freed_bytes: int
    """Of the files that went, or are to go."""
    refused: list[RefusedPrune]
    """What stays although the rules would have it go."""
    left: list[str] = []
    """Files in the folders of pruned runs that nobody recorded: they stay. Paths are relative to
    the mirror's root."""

    @classmethod
    def of_failures(
        cls, *, complete: bool, exit_code: int, failures: Sequence[FailureEntry]
    ) -> PruneAnswer:
        """Make the answer of a command that was broken off, or could not begin."""
        return cls(
            mirror="",
            made_at=datetime.now(UTC).isoformat(),
            complete=complete,
            exit_code=exit_code,
            runs=[],
            freed_bytes=0,
            refused=[RefusedPrune(repo=it.repo or "", why=it.message) for it in failures],
        )

    def plans(self) -> list[RepoPlan]:
        """The plan of each repository. ``ValueError`` for what is none."""
        from artifact_sync.sync.prune_plan import RepoPlan  # noqa: PLC0415 - seldom needed

        found: dict[str, RepoPlan] = {}
        once = {(it.repo, it.run): it for it in self.runs}
        if any(not run for _, run in once):
            raise ValueError("a run without a number")
        for it in once.values():
            at = datetime.fromisoformat(it.created_at) if it.created_at is not None else None
            run = PlannedRun(it.run, at, it.action, it.why, it.bytes)
            plan = found.setdefault(it.repo, RepoPlan(RepoName.parse(it.repo), [], []))
            plan.runs.append(run)
        return list(found.values())


class PinEntry(Struct, frozen=True, kw_only=True):
    """A run that is never pruned."""

    repo: str
    """``org/repo``."""
    run: str
    """Its number, as text."""
    reason: str
    """Why, in its owner's words; empty: nothing was said."""
    pinned_at: str
    """ISO 8601."""

    @classmethod
    def of(cls, it: Pin) -> PinEntry:
        """Make the entry of a pin."""
        at = it.pinned_at.isoformat()
        return cls(repo=str(it.run.repo), run=it.run.run, reason=it.reason, pinned_at=at)


class PinsAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``pins --json``, and of ``pin`` and ``unpin``."""

    complete: bool
    """Whether all was done that was asked for."""
    exit_code: int
    """The program's."""
    pins: list[PinEntry]
    """By repository, the newest run first. Of ``unpin``: what was taken away."""


class UsageEntry(Struct, frozen=True, kw_only=True):
    """What the mirrored files of one repository, run, workflow or path take."""

    name: str
    """``org/repo``; ``org/repo@run``, as ``path`` takes it; a workflow's slug; or a path in CI,
    without ``./``."""
    bytes: int
    """Of its files in the mirror, and of what was unpacked of them."""
    files: int
    """Files in the mirror."""
    runs: int
    """Runs that have one of these files."""

    @classmethod
    def of(cls, part: UsagePart) -> UsageEntry:
        """Make the entry of a part."""
        return cls(**part._asdict())


class UsageAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``du --json``."""

    bytes: int
    """Of the mirrored files, as ``status`` has them: without ``SHA256SUMS`` and ``run.json``."""
    shared_bytes: int
    """Of these, what lies on the disk only once for several files: their blocks are shared."""
    displaced_bytes: int
    """Besides, of files in ``.artifact-sync/displaced/``."""
    staging_bytes: int
    """Besides, of downloads that are under way, or were broken off."""
    parts: list[UsageEntry]
    """The largest first."""


class DisplacedEntry(Struct, frozen=True, kw_only=True):
    """A file that was in the way."""

    place: str
    """Its path below ``.artifact-sync/displaced/``: the time, then the path that it had."""
    path: str
    """The path that it had, relative to the mirror's root."""
    displaced_at: str
    """When it was moved there; ISO 8601."""
    size: int
    """Bytes."""

    @classmethod
    def of(cls, file: DisplacedFile) -> DisplacedEntry:
        """Make the entry of a file."""
        at = file.at.isoformat()
        return cls(place=file.place, path=file.path, displaced_at=at, size=file.size)


class DisplacedAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``displaced … --json``; each command has its own of the lists."""

    complete: bool
    """Whether all was done that was asked for."""
    exit_code: int
    """The program's."""
    failures: list[FailureEntry]
    """What has kept it from that."""
    displaced: list[DisplacedEntry] | UnsetType = UNSET
    """What was in the way, the oldest first. Of ``list``."""
    restored: list[DisplacedEntry] | UnsetType = UNSET
    """What is back in its place. Of ``restore``."""
    left: list[DisplacedEntry] | UnsetType = UNSET
    """What stays displaced: since something stands in its place (``restore``), or since the system
    refuses to remove it (``empty``)."""
    removed: list[DisplacedEntry] | UnsetType = UNSET
    """What was removed for good. Of ``empty``."""


class DeliveryEntry(Struct, frozen=True, kw_only=True):
    """An event that a hook is still to be told."""

    id: str
    """Of the delivery, as the hook gets it: the same in every try."""
    event: str
    """What has happened: ``run.complete``, ``run.incomplete``, ``file.lost``, ``expiring`` or
    ``pruned``."""
    hook: str
    """The hook's name, or what stands for one."""
    repo: str
    """``org/repo``."""
    run: str
    """Its number, as text."""
    happened_at: str
    """ISO 8601."""
    tries: int
    """How often it has failed."""
    next_try: str | None
    """When it is tried again; ISO 8601. Null: it was given up."""
    last_error: str | None
    """Why the last try has failed, for people. Null: there was none."""

    @classmethod
    def of(cls, it: Delivery) -> DeliveryEntry:
        """Make the entry of a delivery."""
        return cls(
            id=it.id,
            event=it.event.value,
            hook=it.hook,
            repo=str(it.facts.get("repo", "")),
            run=str(it.facts.get("run", "")),
            happened_at=it.happened_at.isoformat(),
            tries=it.tries,
            next_try=_moment(it.next_try),
            last_error=it.last_error or None,
        )


class HooksAnswer(Struct, frozen=True, kw_only=True):
    """The object of ``hooks --json``, and of its commands."""

    complete: bool
    """Whether all was done that was asked for."""
    exit_code: int
    """The program's."""
    failures: list[FailureEntry]
    """What has kept it from that."""
    waiting: list[DeliveryEntry]
    """What is tried again, the oldest first. Of ``retry``: of what was asked for."""
    failed: list[DeliveryEntry]
    """What was given up, the oldest first."""
    delivered: list[DeliveryEntry] | UnsetType = UNSET
    """What the hooks have been told now. Of ``retry``."""
    dropped: list[DeliveryEntry] | UnsetType = UNSET
    """What is not told any more. Of ``drop``."""


def as_line(value: Struct | Sequence[Struct]) -> str:
    """Encode a value as JSON on one line, in ASCII."""
    return json.dumps(msgspec.to_builtins(value))


def _vanishes_at(row: ArtifactRow, retention: float) -> datetime | None:
    """When the service is about to delete it; None: nobody knows, or it has done so."""
    gone = row.upstream is Upstream.GONE
    return None if gone else vanishing_time(row.created_at, retention)


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
