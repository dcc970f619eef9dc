"""Unpack archives beside themselves, and keep what was unpacked in step with them.

What is in an archive is on record before its folder gets its name, and the folder gets it by one
rename. Then come the manifests, and at last the ledger says that it is here. Whoever comes next
finishes what is broken off.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from artifact_sync.domain.archives import (
    FOLDERS,
    NO_ARCHIVE,
    UNPACKED,
    Extraction,
    ExtractionState,
    Unpacked,
)
from artifact_sync.domain.errors import (
    ArtifactSyncError,
    DiskError,
    Interrupted,
    Reason,
    UnsafeArchive,
    UnsafePath,
)
from artifact_sync.domain.events import Failed
from artifact_sync.domain.model import ArchiveFile, Failure, MirrorPath
from artifact_sync.mirror.names import check_component, fold
from artifact_sync.runtime.logs import get_logger
from artifact_sync.sync.manifests import refresh_manifests
from artifact_sync.transfer.disk_space import DiskSpace

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from artifact_sync.domain.model import ArtifactKey, ArtifactRow, RepoName, RunKey
    from artifact_sync.domain.report import Report
    from artifact_sync.sync.context import PassContext
    from artifact_sync.sync.rules import Rules

_log = get_logger(__name__)

_NOW_AND_THEN = 256
"""Pieces of an archive between two looks at the free space."""


class Extractor:
    """Unpacks the archives of one repository. The repository is held meanwhile."""

    def __init__(self, context: PassContext, rules: Rules) -> None:
        self._context = context
        self._ledger = context.ledger
        self._rules = rules
        self._untold: list[Failure] = []
        """Failures that could not be recorded."""
        self._run: RunKey | None = None
        self._rows: Mapping[ArtifactKey, ArtifactRow] = {}
        """Of the run that was last looked at."""

    async def of_repository(self, repo: RepoName) -> None:
        """Unpack what was left; after a change of the rules, all."""
        for row in await self._ledger.unfinished_extractions(repo):
            if row.here:
                await self._mend(row)
        terms = _terms(self._rules, self._context)
        if not self._rules.extract or await self._ledger.extract_terms(repo) == terms:
            return
        async with aclosing(self._ledger.mirrored(repo)) as rows:
            async for row in rows:
                if self._rules.extracts(row.key):
                    await self._mend(row)
        await self._ledger.note_extract_terms(repo, terms)

    async def of_named(self, run: RunKey) -> None:
        """Unpack what is to be unpacked of a run."""
        for row in (await self._ledger.artifacts(run)).values():
            if row.here and (row.extraction or self._rules.extracts(row.key)):
                await self._mend(row)

    async def of_run(self, run: RunKey) -> Sequence[Failure]:
        """Unpack archives of a run whose manifests are about to be written.

        Failures that could not be recorded: the run is to be looked at again.
        """
        rows = await self._noted((await self._ledger.artifacts(run)).values())
        for row in rows:
            if row.here and (row.extraction or self._rules.extracts(row.key)):
                await self._settle(row)
        return self._untold

    async def tell(self, repo: RepoName, report: Report, run: RunKey | None = None) -> None:
        """Report what is not unpacked, of one run or of all."""
        rows = await self._ledger.unfinished_extractions(repo)
        known = [
            _failure(row, row.extraction)
            for row in rows
            if run in {None, row.key.run_key} and row.extraction and self._is_told(row)
        ]
        for failure in (*known, *self._untold):
            report.failures.append(failure)
            self._context.observer.notify(Failed(failure))
        self._untold.clear()

    def _is_told(self, row: ArtifactRow) -> bool:
        return self._rules.extracts(row.key) and row.here

    async def _noted(self, rows: Collection[ArtifactRow]) -> list[ArtifactRow]:
        """The rows, of which each that is here tells what kind of archive it is."""
        found = [
            replace(row, archive=await self._format(row))
            if row.here and not (row.archive or row.key.is_log)
            else row
            for row in rows
        ]
        news = [(it.key, it.archive) for it, row in zip(found, rows, strict=True) if it != row]
        await self._ledger.note_archives(news)
        return found

    async def _format(self, row: ArtifactRow) -> str:
        return await self._context.offload(self._context.mirror.archive_format, _path(row))

    async def _mend(self, row: ArtifactRow) -> None:
        """Settle an archive, and have the manifests of its run say so."""
        await self._settle(row)
        await refresh_manifests(self._context, row.key.run_key, self._context.origin)

    async def _settle(self, row: ArtifactRow) -> None:
        """Bring what is unpacked of an archive in step with it."""
        known, wanted = row.extraction, self._rules.extracts(row.key)
        if known is not None and known.sha256 != row.sha256:
            await self._take_away(row)
            known, row = None, replace(row, extraction=None)
        if known is not None and await self._is_settled(row, known):
            return
        is_ours = known is not None and known.state in _THERE
        if not (wanted or is_ours):
            return
        try:
            await self._unpack(row)
        except UnsafeArchive as error:
            await self._fail(row, ExtractionState.REFUSED, error)
        except DiskError as error:
            await self._fail(row, ExtractionState.FAILED, error)

    async def _is_settled(self, row: ArtifactRow, known: Extraction) -> bool:
        if known.state is ExtractionState.REFUSED:
            return known.terms == self._context.extract_limits.terms
        return known.state is ExtractionState.HERE and await self._stands(row)

    async def _stands(self, row: ArtifactRow) -> bool:
        """Whether what was unpacked is there, by the sizes of its files."""
        folder, mirror = _folder(row), self._context.mirror
        sizes = {
            MirrorPath(it.below(folder)): it.size
            for it in await self._ledger.unpacked(row.key)
            if it.is_file
        }
        found = await self._context.offload(mirror.find, folder)
        if found is None or found.kind != "folder":
            return False
        return await self._context.offload(mirror.sizes, sizes.keys()) == sizes

    async def _unpack(self, row: ArtifactRow) -> None:
        """Unpack an archive, unless that has been done. ``UnsafeArchive``, ``DiskError``."""
        await self._check_place(row)
        known, folder = row.extraction, _folder(row)
        offload, unpacking = self._context.offload, self._context.unpacking
        if known is not None and known.state is ExtractionState.PUBLISHING:
            entries = await self._ledger.unpacked(row.key)
            if await offload(unpacking.holds, folder, entries):
                await self._conclude(row, known)
                return
        if not await self._is_folder(row):
            return
        if await offload(self._context.mirror.find, folder) is not None:
            found = await self._read(row, keep=False)
            if found is not None and await offload(unpacking.holds, folder, found.entries):
                await self._conclude(row, await self._begin(row, found))
                return
        extraction = await self._write(row)
        if extraction is not None:
            await self._conclude(row, extraction)

    async def _is_folder(self, row: ArtifactRow) -> bool:
        """Whether a file is an archive of a folder. ``UnsafeArchive``: that cannot be told."""
        kind = row.archive or await self._format(row)
        if not row.archive:
            await self._ledger.note_archives([(row.key, kind)])
        if kind not in FOLDERS and kind not in {NO_ARCHIVE, ""}:
            await self._context.offload(self._context.unpacking.check_packed, _path(row), kind)
        return kind in FOLDERS

    async def _read(self, row: ArtifactRow, *, keep: bool) -> Unpacked | None:
        file = ArchiveFile(_path(row), row.size, row.sha256)
        limits, unpacking = self._context.extract_limits, self._context.unpacking
        stop = _Stop(self._context)
        return await self._context.offload(unpacking.unpack, file, limits, stop, keep=keep)

    async def _write(self, row: ArtifactRow) -> Extraction | None:
        """Unpack an archive into its place; no list of what was in it is held any longer."""
        found = await self._read(row, keep=True)
        return await self._place(row, found) if found is not None else None

    async def _place(self, row: ArtifactRow, found: Unpacked) -> Extraction:
        """Give what was unpacked its name."""
        offload, unpacking, folder = self._context.offload, self._context.unpacking, _folder(row)
        try:
            extraction = await self._begin(row, found)
            if row.extraction is not None:
                await self._withdraw(row)
            moved = await offload(unpacking.place_unpacked, found, folder)
        except BaseException:
            await offload(unpacking.drop_unpacked, found)
            raise
        if moved is not None:
            why = "what stood in the place of an unpacked archive was moved"
            _log.warning(why, path=folder, moved_to=moved)
        return extraction

    async def _begin(self, row: ArtifactRow, found: Unpacked) -> Extraction:
        extraction = found.extraction(row.sha256, self._context.extract_limits)
        await self._ledger.begin_extraction(row.key, extraction, found.entries)
        return extraction

    async def _conclude(self, row: ArtifactRow, extraction: Extraction) -> None:
        """Have the manifests name what stands now, then the ledger."""
        here = replace(row, extraction=replace(extraction, state=ExtractionState.HERE))
        run = row.key.run_key
        await refresh_manifests(self._context, run, self._context.origin, {row.key: here})
        await self._ledger.end_extraction(row.key)

    async def _take_away(self, row: ArtifactRow) -> None:
        """Move away what was unpacked of an earlier file."""
        if row.extraction is not None and row.extraction.state in _THERE:
            await self._withdraw(row)
            await self._displace(row)
        await self._ledger.drop_extraction(row.key)

    async def _withdraw(self, row: ArtifactRow) -> None:
        """Have no manifest vouch for what is about to be moved."""
        await refresh_manifests(self._context, row.key.run_key, self._context.origin)

    async def _displace(self, row: ArtifactRow) -> None:
        folder = _folder(row)
        place = await self._context.offload(self._context.displacement.displace, folder)
        if place is not None:
            _log.info("what was unpacked of an earlier file was moved", path=folder, moved_to=place)

    async def _fail(
        self, row: ArtifactRow, state: ExtractionState, error: ArtifactSyncError
    ) -> None:
        """Record that an archive is not unpacked, and have no manifest say that it is."""
        known, terms = row.extraction, self._context.extract_limits.terms
        reason, message = error.reason.value, str(error)
        failed = Extraction(state, row.sha256, terms, reason=reason, message=message)
        is_there = known is not None and known.state in _THERE
        try:
            if is_there and state is ExtractionState.FAILED:  # what stands is on record still
                self._untold.append(_failure(row, failed))
                return
            await self._ledger.fail_extraction(row.key, failed)
        except DiskError as told:
            self._context.unrecorded[str(told)] += 1
            self._untold.append(_failure(row, failed))
            return
        if is_there:
            await self._withdraw(row)
            await self._displace(row)

    async def _check_place(self, row: ArtifactRow) -> None:
        """Refuse a folder whose name another artifact has, or that no folder can have."""
        if self._run != row.key.run_key:
            self._run, self._rows = row.key.run_key, await self._ledger.artifacts(row.key.run_key)
        folder = _folder(row)
        try:
            check_component(folder.rpartition("/")[2])
        except UnsafePath as error:
            raise UnsafeArchive(f"its folder cannot be made: {error}") from None
        name = fold(folder)
        for other in self._rows.values():
            if other.path is not None and f"{fold(other.path)}/".startswith(f"{name}/"):
                raise UnsafeArchive(f"its folder would be where {other.key.name!r} is")


_THERE = frozenset({ExtractionState.HERE, ExtractionState.PUBLISHING})
"""States in which something of ours may have the folder's name."""


class _Stop:
    """Breaks unpacking off when the process is about to stop, or the disk is full."""

    def __init__(self, context: PassContext) -> None:
        self._context = context
        self._space = DiskSpace(context.free_space.free, context.min_free)
        self._calls = 0

    def __call__(self) -> None:
        if self._context.drain.closed:
            raise Interrupted("stopped before it was done")
        if self._calls % _NOW_AND_THEN == 0:
            self._space.look()
        self._calls += 1


def _terms(rules: Rules, context: PassContext) -> str:
    """Changes when an archive that was looked at is worth another look."""
    text = json.dumps([sorted(set(rules.settings.extract)), context.extract_limits.terms])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _path(row: ArtifactRow) -> MirrorPath:
    if row.path is None:
        raise ValueError("a mirrored artifact without a path")
    return row.path


def _folder(row: ArtifactRow) -> MirrorPath:
    return MirrorPath(_path(row) + UNPACKED)


def _failure(row: ArtifactRow, extraction: Extraction) -> Failure:
    reason = Reason(extraction.reason or Reason.DISK)
    message = extraction.message or "it was not unpacked to its end"
    return Failure.of(row.key, reason, f"it is not unpacked: {message}")
