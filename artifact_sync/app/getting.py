"""Copies mirrored files out of the mirror, or unpacks them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct

from artifact_sync.app.listing import files_named, named_files
from artifact_sync.app.locations import root_of
from artifact_sync.app.storage import open_storage
from artifact_sync.domain.archives import FOLDERS, UNPACKED
from artifact_sync.domain.errors import ArtifactSyncError, DiskError, UsageError
from artifact_sync.domain.listing import NEWEST
from artifact_sync.domain.model import ArchiveFile, Failure
from artifact_sync.mirror.local.delivery import OutsideFolder
from artifact_sync.mirror.manifest import relative_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Literal

    from artifact_sync.domain.model import ArtifactRow
    from artifact_sync.domain.ports import ArtifactStore
    from artifact_sync.domain.settings import Config
    from artifact_sync.mirror.layout import Layout
    from artifact_sync.mirror.local.delivery import OpensFiles


class GetTerms(Struct, frozen=True):
    """What is to be got, and where to."""

    where: str
    """``ORG/REPO[@RUN]``; without a run the newest complete one."""
    globs: Sequence[str]
    target: Path
    extract: bool = False
    force: bool = False


class Got(Struct, frozen=True):
    """What has become of one file."""

    row: ArtifactRow
    place: str
    """Below the target; of what was unpacked the folder."""
    action: Literal["copied", "unpacked", "kept", "failed"]
    failure: Failure | None = None


class Getting(Struct, frozen=True):
    """Files that were found, to be copied."""

    config: Config
    terms: GetTerms
    mirror: ArtifactStore
    files_of: OpensFiles
    layout: Layout
    rows: Sequence[ArtifactRow]

    def files(self) -> Iterator[Got]:
        """Copy each; one that fails keeps no other back.

        ``DiskError``: of the folder itself. Blocking.
        """
        delivery = OutsideFolder(self.files_of, self.terms.target, force=self.terms.force)
        for row in self.rows:
            if row.path is None:
                continue
            place = relative_path(row.path, self.layout.run_folder(row.key.run_key))
            try:
                yield self._one(delivery, row, place)
            except DiskError:
                raise
            except ArtifactSyncError as error:
                failure = Failure.of(row.key, error.reason, str(error))
                yield Got(row, place, "failed", failure)

    def _one(self, delivery: OutsideFolder, row: ArtifactRow, place: str) -> Got:
        if row.path is None:
            raise ValueError("a mirrored artifact without a path")
        file = ArchiveFile(row.path, row.size, row.sha256)
        kind = row.archive or self.mirror.archive_format(row.path)
        if self.terms.extract and kind in FOLDERS:
            place += UNPACKED
            new = delivery.unpack(file, place, self.config.extract.limits, lambda: None)
            return Got(row, place, "unpacked" if new else "kept")
        return Got(row, place, "copied" if delivery.copy(file, place) else "kept")


async def found_to_get(config: Config, terms: GetTerms) -> Getting:
    """Find what is to be copied, in the ledger. ``NothingFits``, ``UsageError``."""
    if terms.target.resolve().is_relative_to(root_of(config).resolve()):
        raise UsageError(f"{terms.target} is in the mirror: name a folder outside it with --to")
    wanted = files_named(terms.where, terms.globs)
    if not wanted.runs:
        wanted = files_named(f"{wanted.names[0]}@{NEWEST[0]}", terms.globs)
    async with open_storage(config, rehearse=True) as store:
        async with aclosing(named_files(store.ledger, wanted)) as found:
            rows = [row async for row in found]
        return Getting(config, terms, store.mirror, store.files, store.layout, rows)
