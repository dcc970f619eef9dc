"""Carry out a plan's downloads, checksum files first, and record each.

A ``NAME.sha256`` artifact vouches for the ``NAME`` beside it, so it is fetched before it.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from artifact_sync.domain.errors import (
    CredentialsRefused,
    DiskError,
    GivesWay,
    Interrupted,
    NoSpace,
    Reason,
    Unreachable,
)
from artifact_sync.domain.events import Downloaded, Failed
from artifact_sync.domain.model import (
    Action,
    ArtifactNote,
    Failure,
    Mirrored,
    State,
    Strength,
    Upstream,
)
from artifact_sync.domain.report import lost_failure
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.completeness import holds_back
from artifact_sync.sync.failures import reasons_of
from artifact_sync.transfer.checksum_file import claim_in, subject_of
from artifact_sync.transfer.context import WantedArtifact
from artifact_sync.transfer.download import fetch, forget_staged
from artifact_sync.transfer.evidence import Recorded
from artifact_sync.transfer.log import LogAbsent, LogUnfinished, WantedLog, fetch_log
from artifact_sync.transfer.same_bytes import ContentTurn
from artifact_sync.transfer.slots import SlotLease

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, Plan, Step
    from artifact_sync.sync.context import PassContext
    from artifact_sync.transfer.context import TransferContext
    from artifact_sync.transfer.download import Fetched
    from artifact_sync.transfer.evidence import Claim

_log = get_logger(__name__)

_ARTIFACTS_PER_JOB = 3
"""Artifacts under way for each download: the others are being published and recorded."""

_CHECKSUM_FILE_LIMIT = 64 * 1024
"""Bytes that a checksum file may have to be read as one."""


class DownloadOutcome(Struct):
    """What has become of a plan's artifacts."""

    downloaded: int = 0
    distrusted: int = 0
    """Files that were to be kept and had to be fetched again."""
    left: int = 0
    """What was not even begun, because the process is about to stop."""
    lacks_any: bool = False
    """Something has failed without which the run is not complete."""
    lacks_new: bool = False
    """It never was here."""
    failures: list[Failure] = field(default_factory=list)
    put_off: int = 0
    """Logs that may still grow."""
    absent: list[ArtifactKey] = field(default_factory=list)
    """Logs that the service has not, and that never were here."""
    newly_absent: list[ArtifactKey] = field(default_factory=list)
    """Those of which this was not known."""
    gives_way: str = ""
    """Why nothing more of the run is fetched, and it goes; empty: it does not."""


class Downloads:
    """The downloads of one plan."""

    def __init__(self, context: PassContext, transfer: TransferContext, plan: Plan) -> None:
        self._context = context
        self._transfer = transfer
        self._ended = plan.run.finished_at
        self._steps = {
            step.artifact.key: step for step in plan.having(Action.DOWNLOAD, Action.KEEP)
        }
        self._checksum_files = {
            named: key for key in self._steps if (named := subject_of(key)) in self._steps
        }
        self._lost = frozenset(note.key for note in plan.notes if note.lost)
        self._vouching = frozenset(self._checksum_files.values())
        self._claims: dict[ArtifactKey, Claim] = {}
        self._recorded: dict[ArtifactKey, Mirrored] = {}
        """Checksum files that came in this pass."""
        self.outcome = DownloadOutcome()

    async def run(self) -> None:
        """Fetch what the plan says; a failure stops no other artifact.

        ``Interrupted`` when the gate was closed before all of it was begun.
        """
        downloads = self.downloads
        await self._each(step for step in downloads if step.artifact.key in self._vouching)
        await self.hear_checksum_files()
        rest = (step for step in self.downloads if step.artifact.key not in self._vouching)
        await self._each(rest)
        if self.outcome.left:
            raise Interrupted("stopped before it was done")

    @property
    def downloads(self) -> Sequence[Step]:
        """What the plan says, and what a checksum file denies."""
        return [step for step in self._steps.values() if step.action is Action.DOWNLOAD]

    async def hear_checksum_files(self) -> None:
        """Read checksum files; fetch kept files that they deny.

        To be called before ``run`` as well: a pass that was killed may have left such a file.
        """
        for named, beside in self._checksum_files.items():
            claim = None if named in self._claims else await self._claim(beside, named)
            if claim is None:
                continue
            self._claims[named] = claim
            step = self._steps[named]
            if step.action is Action.KEEP and step.row is not None:
                await self._compare(step, step.row, claim)

    async def _claim(self, beside: ArtifactKey, named: ArtifactKey) -> Claim | None:
        """The claim of a checksum file that is short and current."""
        known = self._recorded.get(beside) or self._kept(beside)
        if known is None or known.path is None or (known.size or 0) > _CHECKSUM_FILE_LIMIT:
            return None
        content = await self._context.offload(self._context.mirror.read, known.path)
        if content is None or hashlib.sha256(content).hexdigest() != known.sha256:
            return None
        return claim_in(content, named.local_path)

    def _kept(self, key: ArtifactKey) -> ArtifactRow | None:
        step = self._steps[key]
        return step.row if step.action is Action.KEEP else None

    async def _compare(self, step: Step, row: ArtifactRow, claim: Claim) -> None:
        """Hold a kept file's recorded SHA-256 against its checksum file."""
        if row.sha256 != claim.value:
            await self._distrust(step, row)
        elif claim.name not in row.evidence:
            await self._context.ledger.record_mirrored(vouched_by(row, claim))

    async def _distrust(self, step: Step, row: ArtifactRow) -> None:
        now = self._context.clock.now()
        await self._context.ledger.record_states([(row.key, State.WANTED, row.version)], now)
        why = "its .sha256 file says otherwise"
        _log.warning("a mirrored file is fetched again", path=step.path, why=why)
        self.outcome.distrusted += 1
        self._steps[step.artifact.key] = replace(step, action=Action.DOWNLOAD, why=why)

    async def _each(self, steps: Iterable[Step]) -> None:
        """Carry steps out side by side, more than there are slots."""
        queue = iter(list(steps))
        async with asyncio.TaskGroup() as group:
            for _ in range(_ARTIFACTS_PER_JOB * self._transfer.jobs):
                if (first := next(queue, None)) is None:
                    break
                group.create_task(self._drain(first, queue))

    async def _drain(self, first: Step, queue: Iterable[Step]) -> None:
        await self._one(first)
        for step in queue:
            await self._one(step)

    async def _one(self, step: Step) -> None:
        key = step.artifact.key
        try:
            if not self.outcome.gives_way:
                await (self._carry_out_log if key.is_log else self._carry_out)(step)
        except GivesWay as error:
            self.outcome.gives_way = str(error)
        except Exception as error:  # noqa: BLE001 - one bad artifact never stops the others
            for reason, message in reasons_of(error, artifact=str(key)):
                await self._failed(key, reason, message)
        finally:
            self._transfer.links.done(key)

    async def _carry_out_log(self, step: Step) -> None:
        """Fetch a log, which the service need not have."""
        key, now = step.artifact.key, self._context.clock.now()
        try:
            await self._carry_out(step)
        except LogAbsent:
            if step.row is not None and step.row.on_record:
                await self._failed(key, Reason.GONE, "the service has no log of the cube any more")
            elif may_grow(step.row, self._ended, now):
                await self._put_off(step, now)
            else:
                await self._note_absent(step, now)
        except LogUnfinished:
            await self._put_off(step, now)
        except CredentialsRefused as error:  # of the log alone: the run was answered
            message = f"no permission to read the logs of cubes: {error}"
            await self._failed(key, Reason.PERMISSION, message)
        except Unreachable as error:
            if error.status is None:
                raise
            await self._failed(key, Reason.THROTTLED, str(error))  # the service itself is there

    async def _put_off(self, step: Step, now: datetime) -> None:
        note = ArtifactNote(step.artifact.key, State.PENDING, step.artifact.version)
        await self._context.ledger.note_artifacts([note], now)
        self.outcome.put_off += 1

    async def _note_absent(self, step: Step, now: datetime) -> None:
        key, version = step.artifact.key, step.artifact.version
        note = ArtifactNote(key, State.EXPIRED, version, upstream=Upstream.GONE)
        await self._context.ledger.note_artifacts([note], now)
        self.outcome.absent.append(key)
        if step.row is None or step.row.state is not State.EXPIRED:
            self.outcome.newly_absent.append(key)

    async def _carry_out(self, step: Step) -> None:
        """Fetch, and record without holding up the next download."""
        drain, hold = self._context.drain, SlotLease(self._transfer.slots)
        await hold.take()
        entered = drain.enter()
        try:
            with self._turn() as turn:
                try:
                    fetched = await self._fetch(step, hold, turn) if entered else None
                finally:
                    hold.give()
                if fetched is not None:
                    await self._record(fetched)
                else:
                    self.outcome.left += 1
        finally:
            self._context.room.refused(step.artifact.key)  # unless it is on record
            if entered:
                drain.leave()

    def _turn(self) -> AbstractContextManager[ContentTurn | None]:
        """A download's turn at files of the same bytes, until it is recorded."""
        same_bytes = self._transfer.same_bytes
        return ContentTurn(same_bytes) if same_bytes is not None else nullcontext()

    async def _fetch(self, step: Step, hold: SlotLease, turn: ContentTurn | None) -> Fetched:
        if step.path is None:
            raise ValueError("a plan with a download and no place for it")
        claim = self._claims.get(step.artifact.key)
        claims = (claim,) if claim is not None else ()
        recorded = recorded_of(step, claim)
        wanted = WantedArtifact(step.artifact, step.path, claims, recorded, turn)
        while True:
            freed = self._context.room.freed
            try:
                return await self._fetch_once(wanted, step, hold)
            except NoSpace:
                if turn is not None:
                    turn.end()  # what is pruned may be of these bytes
                if not await self._context.room.make_free(freed):
                    raise

    async def _fetch_once(self, wanted: WantedArtifact, step: Step, hold: SlotLease) -> Fetched:
        if step.artifact.key.is_log:
            now = self._context.clock.now()
            log = WantedLog(wanted, may_grow(step.row, self._ended, now))
            return await fetch_log(self._transfer, log, hold)
        return await fetch(self._transfer, wanted, hold)

    async def _record(self, fetched: Fetched) -> None:
        mirrored = fetched.mirrored
        if not mirrored.archive:  # as after a crash
            look = self._context.mirror.archive_format
            archive = await self._context.offload(look, mirrored.path)
            fetched = replace(fetched, mirrored=replace(mirrored, archive=archive))
        await self._context.ledger.record_mirrored(fetched.mirrored)
        self._context.room.recorded(fetched.mirrored.key, fetched.mirrored.size)
        if fetched.mirrored.key in self._vouching:
            self._recorded[fetched.mirrored.key] = fetched.mirrored
        await forget_staged(self._transfer, fetched.staged)
        self.outcome.downloaded += 1
        self._context.observer.notify(Downloaded(fetched.mirrored, fetched.displaced))

    async def _failed(self, key: ArtifactKey, reason: Reason, message: str) -> None:
        now = self._context.clock.now()
        told = failure = Failure.of(key, reason, message)
        state = State.GONE if reason is Reason.GONE else State.FAILED
        row = self._steps[key].row
        if state is State.GONE and row is not None and self._is_lost(row):
            state = State.LOST
            told = lost_failure(replace(row, lost_since=row.lost_since or now), message)
        if holds_back(key, row):
            self.outcome.lacks_any = True
            self.outcome.lacks_new = self.outcome.lacks_new or row is None or not row.sha256
        self.outcome.failures.append(told)
        self._context.observer.notify(Failed(told, key))
        try:
            await self._context.ledger.record_failure(key, state, failure, now)
        except DiskError as error:  # the report has the failure; a full disk may hold no more
            self._context.unrecorded[str(error)] += 1

    def _is_lost(self, row: ArtifactRow) -> bool:
        """Whether its file was here and is missing or changed, wanted then or not."""
        return bool(row.sha256) and (row.lost_since is not None or row.key in self._lost)


_STILL = timedelta(minutes=10)
"""How long after a run's end its logs may still grow."""


def may_grow(row: ArtifactRow | None, ended: datetime | None, now: datetime) -> bool:
    """Whether a log may be incomplete although its run has finished."""
    since = ended or (row.first_seen if row is not None else None)
    return since is None or now - since < _STILL


def recorded_of(step: Step, claim: Claim | None) -> Recorded | None:
    """What the ledger has recorded of the version to be fetched.

    A checksum file that says otherwise has the last word: then it is the record that is doubted.
    """
    row, version = step.row, step.artifact.version
    if row is None or not row.sha256 or not version or row.version != version:
        return None
    if claim is not None and claim.value != row.sha256:
        return None
    if row.key.is_log and row.strength is Strength.NONE:  # nobody has said that it was the whole
        return None
    return Recorded(row.sha256, row.strength, row.evidence)


def vouched_by(row: ArtifactRow, claim: Claim) -> Mirrored:
    """A file's record with the evidence of a later checksum file."""
    if row.path is None or row.size is None:
        raise ValueError("a mirrored artifact without a path or a size")
    return Mirrored(
        row.key,
        row.path,
        row.size,
        row.sha256,
        Strength.DIGEST,
        (claim.name, *row.evidence),
        row.version,
        row.etag,
        row.content_encoding,
        row.mirrored_at,
        is_new=False,
        archive=row.archive,
    )
