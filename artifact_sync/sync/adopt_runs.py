"""Make a lost ledger again, from the manifests of runs and their files."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from artifact_sync.domain.errors import Interrupted, Reason, UnsafeArchive, UnsafePath
from artifact_sync.domain.model import (
    REMOVED,
    ArchiveFile,
    ArtifactRow,
    Failure,
    MirrorPath,
    RepoName,
    State,
)
from artifact_sync.domain.settings import ExtractSettings
from artifact_sync.mirror.manifest import RUN, SUMS, run_json_says, sums_say
from artifact_sync.mirror.names import quoted
from artifact_sync.mirror.recorded_run import LARGEST, DamagedDocument, read_run
from artifact_sync.runtime.read_ahead import in_order
from artifact_sync.sync.adopt import adopt, as_adopted
from artifact_sync.sync.context import leased
from artifact_sync.sync.hash_progress import HashProgress
from artifact_sync.sync.manifests import refresh_manifests, unpacked_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from artifact_sync.domain.keeping import Pin
    from artifact_sync.domain.model import ArtifactKey, Run, RunKey
    from artifact_sync.domain.ports import Ledger, RepositoryLock, WatchedMirror
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.mirror.manifest import UnpackedEntries
    from artifact_sync.mirror.recorded_run import RecordedFile, RecordedRun
    from artifact_sync.runtime.threads import Offload

_AHEAD = 64
"""Files that are waiting to be hashed."""
_LIMITS = ExtractSettings().limits
"""Of an archive that is read again to see what it was unpacked to."""
_LISTED = 1000
"""Paths that are listed at a time."""
_MOST_FAULTS = 1000
"""Of one manifest, after which nothing that it says is believed."""


class Fitness(StrEnum):
    """What became of something that was found below the root."""

    ADOPTED = "adopted"
    KNOWN = "known"
    """The ledger has it already, and it is as recorded."""
    UNFIT = "unfit"
    EXTRA = "extra"
    """Nobody recorded it: it is left alone."""


class Fit(Struct, frozen=True):
    """One file, or the manifest or folder of a run, and whether it fits."""

    fitness: Fitness
    path: MirrorPath
    run: RunKey | None = None
    row: ArtifactRow | None = None
    """As the ledger has it now, or would have it; None: no row comes of it."""
    known: ArtifactRow | None = None
    """As the ledger had it before."""
    reason: Reason | None = None
    why: str = ""
    """A sentence, where it does not fit."""

    @property
    def failure(self) -> Failure:
        """Why it does not fit, as an entry of a report."""
        reason = self.reason or Reason.UNFIT
        if self.row is not None:
            return Failure.of(self.row.key, reason, self.why)
        repo, run = self.run or ("", None)
        return Failure(str(repo), reason, self.why, run)


class _MisplacedDocument(DamagedDocument):
    """It is of a run that belongs elsewhere."""


class _Claims(Struct, frozen=True):
    """What a manifest says of its run, and of the files that can be where it says."""

    run: Run
    source: str
    rows: Sequence[ArtifactRow]
    """As the ledger has those that are found so."""
    faults: Sequence[Fit]
    absent: Sequence[ArtifactRow]
    """Artifacts without a file on record; one that was let go may stand at its path."""
    pin: Pin | None = None


class _Looked(Struct, frozen=True):
    """What a run's folder was found to hold."""

    fits: Sequence[Fit]
    named: frozenset[str] | None = None
    """The files that somebody recorded; None: nobody knows, so that none is told."""


@dataclass(frozen=True, slots=True)
class RunAdopter:
    """Adopts the runs that stand below a mirror's root."""

    mirror: WatchedMirror
    ledger: Ledger
    layout: Layout
    lock: RepositoryLock
    offload: Offload
    at: datetime
    stop: Callable[[], bool]
    """Whether a file that is being hashed is to be left: the work has been cancelled."""
    dry_run: bool = False
    host: str = ""
    """The service's; what was mirrored from another one is unfit. Empty: any will do."""
    progress: HashProgress = field(default_factory=HashProgress)

    async def look(self, repos: Sequence[RepoName] = ()) -> AsyncGenerator[Fit]:
        """Adopt what fits, run by run, and tell all that was found.

        ``repos``: empty for all that there are.
        """
        for below in self._places(repos):
            met = False
            async with aclosing(self._below(below, repos)) as fits:
                async for fit in fits:
                    met = met or fit.fitness is not Fitness.EXTRA
                    yield fit
            if not met:
                why = f"there is no run here that has a {RUN}"
                yield Fit(Fitness.UNFIT, below, reason=Reason.MISSING, why=why)

    async def has_any(self, repos: Sequence[RepoName] = ()) -> bool:
        """Whether any run could be adopted, by its manifest alone."""
        for below in self._places(repos):
            folder: MirrorPath | None = None
            async with aclosing(self._paths(below)) as paths:
                async for path in paths:
                    above, folder = folder, self.layout.run_folder_of(path)
                    if folder and folder != above and await self._is_claimed(folder, repos):
                        return True
        return False

    async def _is_claimed(self, folder: MirrorPath, repos: Sequence[RepoName]) -> bool:
        with suppress(DamagedDocument):
            claims = await self.offload(self._claims, folder)
            return bool(claims and claims.rows and _is_asked(claims.run.key.repo, repos))
        return False

    def _places(self, repos: Sequence[RepoName]) -> Sequence[MirrorPath]:
        if not repos or any(it.is_star for it in repos):
            return [MirrorPath("")]
        return [self.layout.repo_folder(it) for it in repos]

    async def _below(self, below: MirrorPath, repos: Sequence[RepoName]) -> AsyncGenerator[Fit]:
        folder: MirrorPath | None = None
        outside = _Looked((), None if repos else frozenset())
        named = outside.named
        async with aclosing(self._paths(below)) as paths:
            async for path in paths:
                above = self.layout.run_folder_of(path)
                if above != folder:
                    looked = await self._folder(above, repos) if above else outside
                    folder, named = above, looked.named
                    for fit in looked.fits:
                        yield fit
                    del looked
                known = named or ()
                if path in known or self.layout.is_latest(path):
                    continue
                if elsewhere := await self._elsewhere(path, folder):
                    yield elsewhere
                elif named is not None:
                    yield Fit(Fitness.EXTRA, path)

    async def _paths(self, below: MirrorPath) -> AsyncGenerator[MirrorPath]:
        listing = self.mirror.files(below)
        while some := await self.offload(lambda: list(islice(listing, _LISTED))):
            for path in some:
                yield path

    async def _folder(self, folder: MirrorPath, repos: Sequence[RepoName]) -> _Looked:
        """Adopt the run in a folder, if all is as it should be with its manifest."""
        try:
            claims = await self.offload(self._claims, folder)
        except DamagedDocument as error:
            path = MirrorPath(f"{folder}/{RUN}")
            return _Looked([Fit(Fitness.UNFIT, path, reason=Reason.UNFIT, why=str(error))])
        if claims is None:
            return await self._without_manifest(folder)
        repo = claims.run.key.repo
        if not _is_asked(repo, repos):
            return _Looked(())
        async with leased(self.lock, repo):
            return await self._run(claims)

    async def _elsewhere(self, path: MirrorPath, folder: MirrorPath | None) -> Fit | None:
        """Tell of a manifest that lies where none belongs; None: it is none."""
        above, _, name = path.rpartition("/")
        if name != RUN or above == folder:
            return None
        try:
            await self.offload(self._claims, MirrorPath(above))
        except _MisplacedDocument as error:
            return Fit(Fitness.UNFIT, path, reason=Reason.UNFIT, why=str(error))
        except DamagedDocument:
            pass
        return None

    async def _without_manifest(self, folder: MirrorPath) -> _Looked:
        """Tell of a folder without ``run.json``, whose files the ledger alone may know."""
        async with aclosing(self.ledger.at(folder)) as rows:
            known = [row async for row in rows]
        async with aclosing(self.ledger.missing_at(folder)) as rows:
            known += [row async for row in rows]
        run = await self.ledger.run(known[0].key.run_key) if known else None
        if run is None:
            why = f"there is no {RUN}: nothing says which run these files are of"
        elif run.complete:
            why = f"there is no {RUN}, and the run was complete: the next sync writes it"
        else:
            why = ""
        key = run.key if run is not None else None
        fit = Fit(Fitness.UNFIT, folder, key, reason=Reason.MISSING, why=why)
        named = frozenset(str(row.path) for row in known) | _manifests(folder)
        return _Looked([fit] if why else [], named if run is not None else None)

    def _claims(self, folder: MirrorPath) -> _Claims | None:
        """Read what a run's manifest says; None: there is none. ``DamagedDocument``. Blocking."""
        path = MirrorPath(f"{folder}/{RUN}")
        content = _content(self.mirror, path)
        if content is None:
            return None
        about = read_run(content)
        del content  # it may be large, and the rows are, too
        self._check_place(about, folder)
        reading = _Reading(self.layout, path, about.run, self.at)
        for each in about.files():
            reading.take(each)
        absent = [row for row in map(reading.take_absent, about.absent()) if row is not None]
        return _Claims(about.run, about.source, reading.rows, reading.faults, absent, about.pin)

    def _check_place(self, about: RecordedRun, folder: MirrorPath) -> None:
        """Refuse what belongs elsewhere. ``DamagedDocument``."""
        key = about.run.key
        try:
            place = self.layout.run_folder(key)
        except UnsafePath as error:
            raise DamagedDocument(str(error)) from None
        if place != folder:
            raise _MisplacedDocument(
                f"it is of {quoted(str(key))}, whose folder is {place} by mirror.layout:"
                " set mirror.layout as this mirror was laid out, or move the folder there"
            )
        if self.host and about.source and host_of(about.source) != self.host:
            raise DamagedDocument(
                f"it was mirrored from {quoted(about.source)}, and source.base_url is of"
                f" {self.host}: adopt it with the source.base_url of that service"
            )

    async def _run(self, claims: _Claims) -> _Looked:
        key = claims.run.key
        known = await self.ledger.run(key)
        if known is not None and known.creation.is_another(claims.run.creation):
            why = "the ledger knows another run of this number, created at another time"
            path = self.layout.manifests(key)[1]
            return _Looked([Fit(Fitness.UNFIT, path, key, reason=Reason.UNFIT, why=why)])
        if known is not None and known.pruned_at is not None:  # it stays so, as what is let go does
            fits = [Fit(Fitness.KNOWN, it.path or MirrorPath(""), key) for it in claims.rows]
            return _Looked(fits)
        rows = await self.ledger.artifacts(key)
        rules = await self.ledger.forget_rules(key.repo)
        taken = {self.layout.collision_key(it.path): it.key for it in rows.values() if it.path}
        fits, work = list(claims.faults), []
        for claim in claims.rows:
            owner = taken.get(self.layout.collision_key(claim.path or ""), claim.key)
            if rules.forgets(claim.key) and claim.key not in rows:
                fits.append(Fit(Fitness.KNOWN, claim.path or MirrorPath(""), key))
            elif owner == claim.key:
                work.append(claim)
            else:
                fits.append(_clash(claim, "the ledger has another artifact there"))
        self.progress.expect(len(work), sum(it.size or 0 for it in work))
        async with aclosing(
            in_order((self._looked_at(it, rows.get(it.key)) for it in work), _AHEAD)
        ) as looks:
            fits += [fit async for fit in looks]
        if not self.dry_run and any(fit.row is not None for fit in fits):
            rest = (self._let_go(it) for it in claims.absent if it.key not in rows)
            async with aclosing(in_order(rest, _AHEAD)) as looked:
                absent = [row async for row in looked]
            await self._record(claims, fits, absent)
            now = {
                it.key: it for it in (*rows.values(), *absent, *filter(None, (f.row for f in fits)))
            }
            now |= {it.key: it for it in await self._archives(key)}
            await self._mend_manifests(claims, fits, now.values())
        all_known = (*claims.rows, *claims.absent, *rows.values())
        named = {str(it.path) for it in all_known if it.path is not None}
        for archive in await self._archives(key):
            entries = await self.ledger.unpacked(archive.key)
            named |= {it.below(str(archive.unpacked)) for it in entries}
        return _Looked(fits, frozenset(named) | _manifests(self.layout.run_folder(key)))

    async def _archives(self, run: RunKey) -> list[ArtifactRow]:
        """The archives of a run that are unpacked."""
        async with aclosing(self.ledger.each_artifact(run)) as rows:
            return [row async for row in rows if row.unpacked is not None]

    async def _looked_at(self, claim: ArtifactRow, known: ArtifactRow | None) -> Fit:
        fit = await self._file(claim, known)
        self.progress.count(claim.size)
        return fit

    async def _file(self, claim: ArtifactRow, known: ArtifactRow | None) -> Fit:
        on_record = known if known is not None and known.sha256 else claim
        path = on_record.path
        if path is None:
            raise ValueError("a file without a path")
        if known is not None and (known.state in REMOVED or await self._stands(known, path)):
            return Fit(Fitness.KNOWN, path, known.key.run_key, known, known)
        found = await self.offload(self.mirror.digest, path, self.stop)
        if self.stop():
            raise CancelledError
        return judged(claim, known, found, self.at)

    async def _let_go(self, row: ArtifactRow) -> ArtifactRow:
        """What was let go; with its file, if that stands as it was."""
        if row.path is None:
            return row
        found = await self.offload(self.mirror.digest, row.path, self.stop)
        if self.stop():
            raise CancelledError
        return row if found == (row.size, row.sha256) else _without_file(row)

    async def _stands(self, known: ArtifactRow, path: MirrorPath) -> bool:
        """Whether nobody has touched a file since it was last found as recorded."""
        since = known.verified_at
        if not known.here or since is None or since > self.at:
            return False
        found = await self.offload(self.mirror.find, path)
        is_whole = found is not None and found.kind == "file" and found.size == known.size
        return is_whole and found is not None and found.changed < since.timestamp()

    async def _record(
        self, claims: _Claims, fits: Sequence[Fit], absent: Sequence[ArtifactRow]
    ) -> None:
        """Record what was found of a run: first in the ledger, then in its manifests."""
        key, ledger = claims.run.key, self.ledger
        pairs = [(fit, fit.row) for fit in fits if fit.row is not None]
        new = [row for fit, row in pairs if not (fit.known and fit.known.sha256)]
        await ledger.adopt_run(claims.run, [*new, *absent], self.at)
        for row in new:
            await self._take_unpacked(row)
        if claims.pin is not None and await ledger.pinned(key) is None:
            await ledger.pin(claims.pin)
        verified = [row for fit, row in pairs if fit.known and fit.fitness is Fitness.KNOWN]
        await ledger.note_verified([row for row in verified if row.verified_at == self.at], self.at)
        back = [fit.known for fit, _ in pairs if fit.known and fit.fitness is Fitness.ADOPTED]
        await adopt(self, [row for row in back if row.sha256], self.at)
        lost = [fit.known for fit, row in pairs if fit.known and fit.known.here and not row.here]
        if lost:
            await ledger.note_lost(lost, self.at)
            await ledger.unsettle(key)

    async def _take_unpacked(self, row: ArtifactRow) -> None:
        """Record what an archive was unpacked to, as it is in the archive."""
        if row.extraction is None or not row.here or row.path is None:
            return
        file = ArchiveFile(row.path, row.size, row.sha256)
        try:
            found = await self.offload(self.mirror.unpack, file, _LIMITS, self._go_on, keep=False)
        except UnsafeArchive:
            return
        if found is not None:
            extraction = found.extraction(row.sha256, _LIMITS)
            await self.ledger.begin_extraction(row.key, extraction, found.entries)
            await self.ledger.end_extraction(row.key)

    def _go_on(self) -> None:
        if self.stop():
            raise Interrupted("stopped before it was done")

    async def _mend_manifests(
        self, claims: _Claims, fits: Sequence[Fit], rows: Collection[ArtifactRow]
    ) -> None:
        """Write the manifests anew, where they are not as the ledger has the run now: ``rows``."""
        key = claims.run.key
        is_told = all(fit.row is not None or fit.fitness is Fitness.KNOWN for fit in fits)
        lost = any(row.lost_since is not None for row in rows)
        unpacked = await unpacked_of(self.ledger, rows)
        if is_told and not lost and await self.offload(self._say, key, rows, unpacked):
            return
        if not is_told:  # what it says of these is kept
            await self.offload(self.mirror.displace, self.layout.manifests(key)[1])
        await refresh_manifests(self, key, claims.source)

    def _say(self, run: RunKey, rows: Iterable[ArtifactRow], unpacked: UnpackedEntries) -> bool:
        """Whether a run's manifests tell of these files. Blocking."""
        named = [row for row in rows if row.on_record or row.state is State.REFUSED]
        folder = self.layout.run_folder(run)
        sums, about = self.layout.manifests(run)
        content = self.mirror.read(sums)
        if content is None or not sums_say(content, named, folder, unpacked):
            return False
        content = self.mirror.read(about)  # in the place of the other one: both can be large
        return content is not None and run_json_says(content, named, folder)


def judged(
    claim: ArtifactRow, known: ArtifactRow | None, found: tuple[int, str] | None, at: datetime
) -> Fit:
    """Compare a file with what is on record; without a record, with a claim."""
    old = known if known is not None and known.sha256 else None
    record = old or claim
    path, run = record.path or MirrorPath(""), record.key.run_key
    if found == (record.size, record.sha256):
        is_so = record.here and record.verified_at == at  # one of many, which is not copied
        row = record if is_so else replace(as_adopted(record), verified_at=at)
        fitness = Fitness.KNOWN if old is not None and old.here else Fitness.ADOPTED
        return Fit(fitness, path, run, row, known)
    since, verified_at = record.lost_since or at, old.verified_at if old is not None else None
    row = replace(record, state=State.LOST, lost_since=since, verified_at=verified_at)
    if found is None:
        why = "it is missing"
        return Fit(Fitness.UNFIT, path, run, row, known, Reason.MISSING, why)
    size, sha256 = found
    detail = f"{size:,} bytes, SHA-256 {sha256[:12]}…; recorded {record.size:,},"
    why = f"it is another file: {detail} {record.sha256[:12]}…"
    return Fit(Fitness.UNFIT, path, run, row, known, Reason.INTEGRITY, why)


def _without_file(row: ArtifactRow) -> ArtifactRow:
    """What is left of an artifact whose file is not what it was."""
    return ArtifactRow(
        row.key,
        row.state,
        reason=row.reason,
        message=row.message,
        wanted=row.wanted,
        upstream=row.upstream,
        created_at=row.created_at,
    )


def _clash(claim: ArtifactRow, why: str) -> Fit:
    path, run = claim.path or MirrorPath(""), claim.key.run_key
    return Fit(Fitness.UNFIT, path, run, reason=Reason.COLLISION, why=why)


def _manifests(folder: MirrorPath) -> frozenset[str]:
    return frozenset({f"{folder}/{SUMS}", f"{folder}/{RUN}"})


def _is_asked(repo: RepoName, repos: Sequence[RepoName]) -> bool:
    return not repos or repo in repos or RepoName.star(repo.org) in repos


def host_of(origin: str) -> str:
    """The name in ``host:port``, in lower case; empty where it is none."""
    try:
        return urlsplit(f"//{origin}").hostname or ""
    except ValueError:
        return ""


def _content(mirror: WatchedMirror, path: MirrorPath) -> bytes | None:
    """A manifest, if it is one that can be read. ``DamagedDocument``. Blocking."""
    found = mirror.find(path)
    if found is None:
        return None
    if found.kind != "file":
        raise DamagedDocument("it is no regular file")
    if found.size > LARGEST:
        raise DamagedDocument(f"it has {found.size:,} bytes, and {LARGEST:,} are the most")
    return mirror.read(path) or b""


class _Reading:
    """Gathers what a manifest says of files; no two may have one name, or one place."""

    def __init__(self, layout: Layout, manifest: MirrorPath, run: Run, at: datetime) -> None:
        self._layout = layout
        self._manifest = manifest
        self._run = run.key
        self._at = at
        self._places: set[str] = set()
        self._keys: set[ArtifactKey] = set()
        self.rows: list[ArtifactRow] = []
        self.faults: list[Fit] = []

    def take(self, told: RecordedFile | str) -> None:
        """Take what is told of a file, or why it makes no sense."""
        if isinstance(told, str):
            self._fault(Reason.UNFIT, told)
            return
        try:
            path = self._layout.recorded_place(told.row.key, told.told)
        except UnsafePath as error:
            self._fault(Reason.UNSAFE_PATH, str(error))
            return
        place = self._layout.collision_key(path)
        if place in self._places or told.row.key in self._keys:
            self._fault(Reason.COLLISION, f"{quoted(told.told)} is named twice")
            return
        self._places.add(place)
        self._keys.add(told.row.key)
        self.rows.append(replace(told.row, path=path, verified_at=self._at))

    def take_absent(self, told: RecordedFile | ArtifactRow) -> ArtifactRow | None:
        """Take what is told of an artifact without a file on record.

        None: it was told of before.
        """
        row = told if isinstance(told, ArtifactRow) else told.row
        if row.key in self._keys:
            return None
        self._keys.add(row.key)
        path = None if isinstance(told, ArtifactRow) else self._free_place(told)
        return replace(row, path=path, verified_at=self._at) if path else _without_file(row)

    def _free_place(self, told: RecordedFile) -> MirrorPath | None:
        try:
            path = self._layout.recorded_place(told.row.key, told.told)
        except UnsafePath:
            return None
        place = self._layout.collision_key(path)
        is_free = place not in self._places
        self._places.add(place)
        return path if is_free else None

    def _fault(self, reason: Reason, why: str) -> None:
        if len(self.faults) >= _MOST_FAULTS:
            raise DamagedDocument(f"more than {_MOST_FAULTS:,} of its entries make no sense")
        self.faults.append(Fit(Fitness.UNFIT, self._manifest, self._run, reason=reason, why=why))
