"""Compare the mirror with the ledger, and request what is damaged.

Finds and, for a repair, makes room; fetching damaged files again is a pass of ``sync``.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from artifact_sync.domain.archives import ExtractionState
from artifact_sync.domain.errors import DiskError, Reason
from artifact_sync.domain.model import AT_REST, ArtifactNote, Failure, MirrorPath, State
from artifact_sync.domain.request import PassOptions, PassRequest
from artifact_sync.domain.settings import RepoSettings
from artifact_sync.mirror import manifest
from artifact_sync.runtime.logs import get_logger
from artifact_sync.runtime.read_ahead import in_order
from artifact_sync.sync.adopt import adopt
from artifact_sync.sync.completeness import holds_back
from artifact_sync.sync.context import leased
from artifact_sync.sync.manifests import (
    refresh_manifests,
    standing_unpacked,
    unpacked_of,
    wrong_signature,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from artifact_sync.domain.archives import UnpackedEntry
    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName, RunKey, RunRow
    from artifact_sync.domain.ports import Ledger, RepositoryLock, WatchedMirror
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.runtime.threads import Offload
    from artifact_sync.sync.hash_progress import HashProgress

_log = get_logger(__name__)

_AHEAD = 64
"""Files that are waiting to be hashed; bounds the memory."""

_LOOKS = 3
"""How often a run is looked at, at most, that others change meanwhile."""


class Condition(StrEnum):
    """What a file of the mirror was found to be."""

    OK = "ok"
    MISSING = "missing"
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    """The disk does not give it out. Nobody knows what it is."""
    EXTRA = "extra"
    """Nobody recorded it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One file and its condition."""

    condition: Condition
    path: MirrorPath
    size: int = 0
    row: ArtifactRow | None = None
    """The artifact; None for a manifest and for a file that nobody recorded."""
    run: RunKey | None = None
    detail: str = ""
    entry: UnpackedEntry | None = None
    """What it was unpacked as, of an archive; None: it was not."""
    recorded: bool = True
    """Whether the ledger knows of a file that is ok; a crash may have come between."""


@dataclass(frozen=True, slots=True)
class Auditor:
    """Looks a mirror through."""

    mirror: WatchedMirror
    ledger: Ledger
    layout: Layout
    lock: RepositoryLock
    offload: Offload
    progress: HashProgress | None = None
    """Counts what is hashed, for whoever watches."""
    quick: bool = False
    """Believe the store, where it vouches for a file."""

    async def look(self, repos: Sequence[RepoName]) -> AsyncGenerator[Finding]:
        """Every finding about these repositories, run by run."""
        if self.progress is not None:
            await self._expect(self.progress, repos)
        sharing: dict[ArtifactKey, ArtifactRow] = {}
        for repo in repos:
            async with aclosing(self._repository(repo)) as findings:
                async for finding in findings:
                    sharing |= {row.key: row for row in await self.sharing(finding)}
                    yield finding
        elsewhere = [it for it in sharing.values() if it.key.run_key.repo not in repos]
        async with aclosing(in_order(map(self.file, elsewhere), _AHEAD)) as others:
            async for finding in others:
                if finding.condition is Condition.OK:
                    continue
                if (now := await self.confirmed(finding)) is not None:
                    yield now

    async def sharing(self, finding: Finding) -> Sequence[ArtifactRow]:
        """What may be a name of the same damaged file: a hard link."""
        if finding.condition is not Condition.CHANGED or finding.row is None:
            return []
        return await self.ledger.sharing(finding.row.key)

    async def _expect(self, progress: HashProgress, repos: Sequence[RepoName]) -> None:
        for repo in repos:
            totals = await self.ledger.totals(repo)
            files = totals.states[State.MIRRORED] + totals.states[State.LOST]
            progress.expect(files, totals.bytes)

    async def look_at(self, runs: Iterable[RunKey]) -> AsyncGenerator[Finding]:
        """Every finding about these runs."""
        for run in [await self.ledger.run(it) for it in runs]:
            if run is None:
                continue
            rows = await self.ledger.artifacts(run.key)
            async with aclosing(self._run(run, list(rows.values()))) as findings:
                async for finding in findings:
                    yield finding

    async def outside(self, repos: Sequence[RepoName]) -> Sequence[Finding]:
        """Files that are in no repository's folder."""
        folders = frozenset(self.layout.repo_folder(repo) for repo in repos)
        return await self._strays(MirrorPath(""), folders)

    async def left(self, findings: Iterable[Finding]) -> list[Finding]:
        """Those that are not, by now, what the ledger says; given run by run."""
        left: list[Finding] = []
        read: RunKey | None = None
        rows: Mapping[ArtifactKey, ArtifactRow] = {}
        for it in findings:
            if it.run is not None and it.run != read:
                read, rows = it.run, await self.ledger.artifacts(it.run)
            if not await self.stands(it, rows):
                left.append(it)
        return left

    async def stands(self, finding: Finding, rows: Mapping[ArtifactKey, ArtifactRow]) -> bool:
        """Whether a file that was damaged is now what the ledger says.

        ``rows``: its run's, which are read once for all of the run's files.
        """
        row, run = finding.row, finding.run
        if run is None:
            return False
        if finding.entry is not None:
            return await self.offload(self.mirror.stands, finding.path, finding.entry)
        if row is None:
            checked = await self.manifests(run, rows.values())
            return any(it.path == finding.path and it.condition is Condition.OK for it in checked)
        known = rows.get(row.key)
        if known is None or known.state is not State.MIRRORED or known.path is None:
            return False
        found = await self.offload(self.mirror.find, known.path)
        if found is None or found.size != known.size:
            return False  # without reading it
        digest = await self.offload(self.mirror.digest, known.path)
        return digest == (known.size, known.sha256)

    async def request(self, damage: Iterable[Finding], at: datetime) -> None:
        """Request damaged files from the next pass; displace changed ones.

        The ledger wants them, durably, before anything is moved: whoever comes next finishes what
        is broken off. What has been put right meanwhile, by whoever had the repository, stays.
        """
        for run, findings in by_their_run(damage).items():
            async with leased(self.lock, run.repo):  # a pass may have planned to keep what is moved
                await self._request(run, findings, at)

    async def _still(self, run: RunKey, findings: Iterable[Finding]) -> list[Finding]:
        """What of a run is damaged still: others may have had the repository meanwhile."""
        rows = await self.ledger.artifacts(run)
        same = [it for it in findings if it.row is None or rows.get(it.row.key) == it.row]
        return [it for it in same if not await self.stands(it, rows)]

    async def _request(self, run: RunKey, findings: Sequence[Finding], at: datetime) -> None:
        still = await self._still(run, findings)
        if not still:
            return
        wanted = [it.row for it in still if it.row is not None]
        await self.ledger.unsettle(run)
        notes = [
            ArtifactNote(it.key, State.WANTED, it.version, it.wanted, it.upstream, lost=True)
            for it in wanted
        ]
        await self.ledger.note_artifacts(notes, at)
        changed = {it.path for it in still if it.condition is Condition.CHANGED}
        changed.discard(self.layout.signature(run))  # it is replaced when there is a right one
        for path in sorted(changed):
            place = await self.offload(self.mirror.displace, path)
            if place is not None:
                _log.warning("a changed file was moved out of the way", path=path, moved_to=place)

    async def note(self, findings: Iterable[Finding], at: datetime, *, lost: bool = True) -> None:
        """Note files that were found right, put back or lost.

        ``lost``: also those, for which the next pass then asks the service. Only for what is put
        back or lost the repository is held: ``RepositoryBusy``.
        """
        for repo, some in by_repository(findings).items():
            right = [it.row for it in some if it.row and it.condition is Condition.OK]
            await self.ledger.note_verified([row for row in right if row.here], at)
            back = [row for row in right if not row.here]
            missed = [it for it in some if it.row and it.condition in DAMAGE and it.row.here]
            missed = missed if lost else []
            if back or missed:
                async with leased(self.lock, repo):
                    await adopt(self, back, at)
                    await self._lose(missed, at)

    async def _lose(self, findings: Iterable[Finding], at: datetime) -> None:
        for run, some in by_their_run(findings).items():
            lost = [it.row for it in await self._still(run, some) if it.row is not None]
            if lost:
                await self.ledger.note_lost(lost, at)
                await self.ledger.unsettle(run)
                await refresh_manifests(self, run)

    async def _strays(self, below: MirrorPath, known: frozenset[MirrorPath]) -> Sequence[Finding]:
        found = await self.offload(lambda: list(self.mirror.files(below, skip=known)))
        return [Finding(Condition.EXTRA, path) for path in found]

    async def _repository(self, repo: RepoName) -> AsyncGenerator[Finding]:
        folders: set[MirrorPath] = set()
        async with aclosing(self.ledger.runs(repo)) as runs:
            async for run in runs:
                rows = list((await self.ledger.artifacts(run.key)).values())
                if not any(row.on_record or row.state is State.FORGOTTEN for row in rows):
                    continue
                folders.add(self.layout.run_folder(run.key))
                async with aclosing(self._run(run, rows)) as findings:
                    async for finding in findings:
                        yield finding
        ours = self.layout.latest(repo)
        for finding in await self._strays(self.layout.repo_folder(repo), frozenset(folders)):
            if finding.path not in ours:
                yield finding

    async def confirmed(self, finding: Finding) -> Finding | None:
        """A finding by what the ledger says now; None: others let it go."""
        row = finding.row
        if row is None or finding.condition not in DAMAGE:
            return finding
        known = await self._listed(row)
        if known is None:
            return None
        return finding if _as_read(known) == _as_read(row) else await self.file(known)

    async def is_current(self, row: ArtifactRow) -> bool:
        """Whether the ledger still says of a file what it said."""
        known = await self._listed(row)
        return known is not None and _as_read(known) == _as_read(row)

    async def _listed(self, row: ArtifactRow) -> ArtifactRow | None:
        """The artifact in the ledger now, where its file should still be."""
        same = await self.ledger.at_path(row.path or "")
        return next((it for it in same if it.key == row.key and it.on_record), None)

    async def _run(self, run: RunRow, rows: list[ArtifactRow]) -> AsyncGenerator[Finding]:
        """Look a run through; once more at what is wrong, where others changed the run meanwhile.

        They may have let go what was looked at, or may have brought it.
        """
        wrong: list[Finding] = []
        only: frozenset[MirrorPath] | None = None
        for _ in range(_LOOKS):
            wrong = []
            async with aclosing(self._look_through(run, rows, only)) as findings:
                async for finding in findings:
                    if finding.condition not in _DOUBTFUL:
                        yield finding
                    else:
                        wrong.append(finding)
            read, only = (run, list(map(_as_read, rows))), frozenset(it.path for it in wrong)
            if wrong:
                run = await self.ledger.run(run.key) or run
                rows = list((await self.ledger.artifacts(run.key)).values())
            if read == (run, list(map(_as_read, rows))):
                break
        for finding in wrong:
            yield finding

    async def _look_through(
        self, run: RunRow, rows: list[ArtifactRow], only: frozenset[MirrorPath] | None
    ) -> AsyncGenerator[Finding]:
        """All of a run, or ``only`` these paths of it."""
        files = [it for it in rows if only is None or it.path in only]
        async with aclosing(self._all_of(run, rows, files)) as findings:
            async for finding in findings:
                if only is None or finding.path in only:
                    yield finding

    async def _all_of(
        self, run: RunRow, rows: list[ArtifactRow], files: list[ArtifactRow]
    ) -> AsyncGenerator[Finding]:
        """What belongs to a run, but of its files only these."""
        sound = True
        async with aclosing(self._files(files)) as findings:
            async for finding in findings:
                sound = sound and finding.condition is Condition.OK
                yield finding
        async with aclosing(self.unpacked(rows)) as findings:
            async for finding in findings:
                yield finding
        for finding in await self._beside(run, rows, sound=sound):
            yield finding

    async def unpacked(
        self, rows: Sequence[ArtifactRow], ahead: int = _AHEAD
    ) -> AsyncGenerator[Finding]:
        """Compare what was unpacked of archives with what was in them.

        ``ahead``: files that are read at once.
        """
        for row in rows:
            folder = row.unpacked if row.on_record else None
            if folder is not None:
                entries = await self.ledger.unpacked(row.key)
                looks = (self._entry(row, folder, it) for it in entries)
                async with aclosing(in_order(looks, ahead)) as findings:
                    async for finding in findings:
                        yield finding

    async def _entry(self, row: ArtifactRow, folder: MirrorPath, it: UnpackedEntry) -> Finding:
        path, run = MirrorPath(it.below(folder)), row.key.run_key
        if await self.offload(self.mirror.stands, path, it):
            return Finding(Condition.OK, path, it.size, run=run, entry=it)
        found = await self.offload(self.mirror.find, path)
        condition = Condition.MISSING if found is None else Condition.CHANGED
        size = found.size if found is not None else 0
        detail = f"it is not as it was in {row.key.name}" if found is not None else ""
        return Finding(condition, path, size, run=run, detail=detail, entry=it)

    def _files(self, rows: list[ArtifactRow]) -> AsyncGenerator[Finding]:
        return in_order((self.file(row) for row in rows if row.on_record), _AHEAD)

    async def file(self, row: ArtifactRow, stop: Callable[[], bool] | None = None) -> Finding:
        """Read a file on record.

        ``stop`` breaks that off: then the file seems to be missing.
        """
        path = row.path
        if path is None:
            raise ValueError("a mirrored artifact without a path")
        try:
            if self.quick:
                found = await self.offload(self.mirror.vouched, path, row.right_at, stop)
            else:
                found = await self.offload(self.mirror.digest, path, stop)
        except DiskError as error:
            await self.offload(self.mirror.check)
            return Finding(Condition.UNREADABLE, path, 0, row, row.key.run_key, str(error))
        if self.progress is not None:
            self.progress.count(row.size)
        return compared(row, path, found)

    async def _beside(self, run: RunRow, rows: list[ArtifactRow], *, sound: bool) -> list[Finding]:
        """The run's manifests, and files in its folder that nobody recorded.

        ``sound``: every file on record is there, also where a crash has left it to be recorded.
        """
        extras = await self._extras(run.key, rows)
        checked = run.complete or _should_be_complete(rows, sound=sound)
        checked = checked and any(row.on_record for row in rows)
        manifests = await self.manifests(run.key, rows) if checked else []
        manifests = [replace(it, recorded=run.complete) for it in manifests]
        return manifests + [Finding(Condition.EXTRA, path, run=run.key) for path in extras]

    async def _extras(self, run: RunKey, rows: list[ArtifactRow]) -> list[MirrorPath]:
        """What is in a run's folder that nobody recorded."""
        recorded = {it.path for it in rows if it.may_stand} | set(self.layout.beside(run))
        recorded |= await standing_unpacked(self.ledger, rows)
        files, folder = self.mirror.files, self.layout.run_folder(run)
        return await self.offload(lambda: [it for it in files(folder) if it not in recorded])

    async def manifests(self, run: RunKey, rows: Iterable[ArtifactRow]) -> list[Finding]:
        """Compare a complete run's manifests with the ledger.

        They name every file on record, also while it is missing. One of ours that differs while its
        run is not settled waits to be written anew: it counts as missing, and is not moved away.
        """
        folder, found = self.layout.run_folder(run), []
        known = await self.ledger.run(run)
        rows = list(rows)
        named = [it for it in rows if it.on_record or it.state is State.REFUSED]
        before = named + [it for it in rows if it.state in {State.PRUNING, State.FORGOTTEN}]
        stale = known is not None and not known.settled_for
        record = await self.ledger.record(run)
        unpacked = await unpacked_of(self.ledger, named)
        stale = stale or any(_is_moving(it) for it in rows)
        checks: tuple[Callable[[bytes, Iterable[ArtifactRow], MirrorPath], bool], ...] = (
            partial(manifest.sums_say, unpacked=unpacked),
            partial(manifest.run_json_says, record=record),
        )
        for path, says in zip(self.layout.manifests(run), checks, strict=True):
            content = await self.offload(self.mirror.read, path)
            if content is None:
                found.append(Finding(Condition.MISSING, path, run=run))
                continue
            right = await self.offload(says, content, named, folder)
            stale = stale or (not right and await self._is_being_forgotten(run, rows))
            older = (
                not right
                and stale
                and await self.offload(manifest.may_be_older, content, before, folder)
            )
            wrong = Condition.MISSING if older else Condition.CHANGED
            condition = Condition.OK if right else wrong
            found.append(Finding(condition, path, len(content), run=run))
        return found + await self.offload(self._signature, run)

    def _signature(self, run: RunKey) -> list[Finding]:
        """What is wrong with the signature of a run's ``SHA256SUMS``. Blocking."""
        signer, path = self.mirror.signer, self.layout.signature(run)
        content = self.mirror.read(self.layout.manifests(run)[0]) if signer is not None else None
        if signer is None or content is None:
            return []
        found = self.mirror.find(path)
        if found is None or found.kind != "file":
            return [Finding(Condition.MISSING, path, run=run)]
        why = wrong_signature(self.mirror, path, content)
        condition = Condition.CHANGED if why else Condition.OK
        return [Finding(condition, path, found.size, run=run, detail=why)]

    async def _is_being_forgotten(self, run: RunKey, rows: Iterable[ArtifactRow]) -> bool:
        """Whether something of a run is about to be forgotten or removed, as after a crash."""
        if any(row.state is State.PRUNING for row in rows):
            return True
        rules = await self.ledger.forget_rules(run.repo)
        return any(rule.scope.run in {"", run.run} for rule in rules.unfinished)


def _is_moving(row: ArtifactRow) -> bool:
    """Whether an archive's folder may have its name, and the ledger may not say so yet."""
    it = row.extraction
    return it is not None and it.state is ExtractionState.PUBLISHING


_REASONS = {
    Condition.MISSING: Reason.MISSING,
    Condition.CHANGED: Reason.INTEGRITY,
    Condition.UNREADABLE: Reason.DISK,
}
DAMAGE = frozenset({Condition.MISSING, Condition.CHANGED})
"""What a repair is for."""
_DOUBTFUL = DAMAGE | {Condition.EXTRA}
"""What may look so only because others work on the run."""


def _as_read(row: ArtifactRow) -> ArtifactRow:
    """The row without what is noted of a file that was found right."""
    return msgspec.structs.replace(row, verified_at=None)


def by_their_run(findings: Iterable[Finding]) -> Mapping[RunKey, list[Finding]]:
    """Findings by their run, without those of none."""
    found: defaultdict[RunKey, list[Finding]] = defaultdict(list)
    for it in findings:
        if it.run is not None:
            found[it.run].append(it)
    return found


def by_repository(findings: Iterable[Finding]) -> Mapping[RepoName, list[Finding]]:
    """Findings about artifacts by their repository."""
    found: defaultdict[RepoName, list[Finding]] = defaultdict(list)
    for it in findings:
        if it.run is not None and it.row is not None:
            found[it.run.repo].append(it)
    return found


def runs_of(findings: Iterable[Finding]) -> dict[RepoName, list[str]]:
    """The runs of findings by repository, each once, in the order of the findings."""
    runs: defaultdict[RepoName, list[str]] = defaultdict(list)
    for run in dict.fromkeys(it.run for it in findings if it.run is not None):
        runs[run.repo].append(run.run)
    return runs


def repair_pass(repo: RepoName, runs: Iterable[str]) -> PassRequest:
    """The pass that fetches what runs have on record, whatever the rules say."""
    options = PassOptions(insist=True, recorded=True)
    return PassRequest((RepoSettings(name=str(repo)),), tuple(runs), options)


_STRONG = frozenset({Reason.INTEGRITY, Reason.DISK, Reason.NO_SPACE, Reason.INTERRUPTED})
"""Failures that say more of damage that is left than its condition does."""


def reasons_of_damage(
    damage: Iterable[Finding], failures: Sequence[Failure] = ()
) -> Iterator[Reason]:
    """Reasons for the exit code: damage left, and failures of repairs.

    A failure that concerns damage does not count beside it: either is the other's cause.
    """
    left = [(it, [f for f in failures if _concerns(f, it)]) for it in damage]
    for finding, why in left:
        strong = (it.reason for it in why if it.reason in _STRONG)
        yield next(strong, _REASONS[finding.condition])
    told = [failure for _, why in left for failure in why]
    yield from (failure.reason for failure in failures if failure not in told)


def _concerns(failure: Failure, finding: Finding) -> bool:
    """Whether a failure is of the file or of something it is part of."""
    row, run = finding.row, finding.run
    if run is None or failure.repo not in {"", str(run.repo)} or failure.run not in {None, run.run}:
        return False
    if row is None or failure.workflow is None:
        return True
    return failure == Failure.of(row.key, failure.reason, failure.message)


def _should_be_complete(rows: Iterable[ArtifactRow], *, sound: bool) -> bool:
    """Whether all that can be here of a run is, so that manifests should be."""
    here = {State.MIRRORED, State.PENDING, State.REFUSED} | AT_REST
    listed = list(rows)
    is_any = any(row.on_record for row in listed)
    lacking = (it for it in listed if it.state not in here and holds_back(it.key, it))
    return is_any and all(sound and row.on_record for row in lacking)


def compared(row: ArtifactRow, path: MirrorPath, found: tuple[int, str] | None) -> Finding:
    """Compare a recorded file with the size and SHA-256 found."""
    if found is None:
        return Finding(Condition.MISSING, path, 0, row, row.key.run_key)
    size, sha256 = found
    if (size, sha256) == (row.size, row.sha256):
        recorded = row.here
        return Finding(Condition.OK, path, size, row, row.key.run_key, recorded=recorded)
    if row.state is State.WANTED:  # it may be the right one: only a pass can tell
        detail = "another file is there, which was not recorded"
        return Finding(Condition.MISSING, path, size, row, row.key.run_key, detail)
    detail = f"{size:,} bytes, SHA-256 {sha256[:12]}…; recorded {row.size:,}, {row.sha256[:12]}…"
    return Finding(Condition.CHANGED, path, size, row, row.key.run_key, detail)
